import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.InvocationTargetException;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Reads lines "MessageName version json" and prints, for each, the message's bytes in hex as
 * Kafka's own class writes them: "absent" where this release has no such message or version,
 * "refused" where it cannot write the content.
 */
public class MessageBytes {
    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        StringBuilder out = new StringBuilder();
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ", 3);
            out.append(answer(words[0], Short.parseShort(words[1]), words[2])).append('\n');
        }
        System.out.print(out);
    }

    static String answer(String name, short version, String json) throws Exception {
        String base = "org.apache.kafka.common.message." + name;
        Class<?> data;
        try {
            data = Class.forName(base + "Data");
        } catch (ClassNotFoundException absent) {
            return "absent";
        }
        short lowest = data.getField("LOWEST_SUPPORTED_VERSION").getShort(null);
        short highest = data.getField("HIGHEST_SUPPORTED_VERSION").getShort(null);
        if (version < lowest || version > highest) {
            return "absent";
        }
        JsonNode node = new ObjectMapper().readTree(json);
        try {
            ApiMessage message = (ApiMessage) Class.forName(base + "DataJsonConverter")
                                     .getMethod("read", JsonNode.class, short.class)
                                     .invoke(null, node, version);
            ObjectSerializationCache cache = new ObjectSerializationCache();
            ByteBuffer bytes = ByteBuffer.allocate(message.size(cache, version));
            message.write(new ByteBufferAccessor(bytes), cache, version);
            return HexFormat.of().formatHex(bytes.array(), 0, bytes.position());
        } catch (InvocationTargetException refused) {
            return "refused " + refused.getCause();
        } catch (RuntimeException refused) {
            return "refused " + refused;
        }
    }
}
