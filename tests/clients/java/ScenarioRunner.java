import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Performs steps of a scenario with the Java clients: one JSON object a line on standard input, one
 * JSON answer a line on standard output. Bytes travel as base64; an error is named by its class.
 */
public final class ScenarioRunner {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Duration DEADLINE = Duration.ofSeconds(20);
    private final String bootstrap;
    private final Admin admin;

    private ScenarioRunner(String bootstrap) {
        this.bootstrap = bootstrap;
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("default.api.timeout.ms", 15000);
        settings.put("request.timeout.ms", 10000);
        admin = Admin.create(settings);
    }

    public static void main(String[] arguments) throws IOException {
        BufferedReader in =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8), 1 << 20);
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        ScenarioRunner runner = new ScenarioRunner(arguments[0]);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(JSON.writeValueAsString(runner.perform(JSON.readTree(line))));
            out.flush();
        }
        runner.admin.close(Duration.ofSeconds(2));
    }

    private JsonNode perform(JsonNode step) {
        try {
            switch (step.get("op").asText()) {
                case "create":
                    return create(step);
                case "delete":
                    return delete(step);
                case "produce":
                    return produce(step);
                case "consume":
                    return consume(step);
                case "consume_all":
                    return consumeAll(step);
                case "times":
                    return times(step);
                case "watermarks":
                    return watermarks(step);
                case "partitions":
                    return partitions(step);
                default:
                    throw new IllegalArgumentException("unknown step " + step);
            }
        } catch (Exception problem) {
            return error(problem);
        }
    }

    private static ObjectNode error(Throwable problem) {
        Throwable cause = problem;
        if (problem instanceof ExecutionException && problem.getCause() != null) {
            cause = problem.getCause();
        }
        if (cause.getClass().getName().startsWith("java.lang")) {
            cause.printStackTrace();
        }
        return JSON.createObjectNode().put("error", cause.getClass().getSimpleName());
    }

    private JsonNode create(JsonNode step) throws Exception {
        NewTopic topic =
            new NewTopic(step.get("topic").asText(), Optional.of(step.path("partitions").asInt(1)),
                Optional.of((short) step.path("replication").asInt(1)));
        Map<String, String> configs = new HashMap<>();
        step.path("configs").fields().forEachRemaining(
            e -> configs.put(e.getKey(), e.getValue().asText()));
        topic.configs(configs);
        admin.createTopics(List.of(topic)).all().get();
        return JSON.createObjectNode().put("created", true);
    }

    private JsonNode delete(JsonNode step) throws Exception {
        admin.deleteTopics(List.of(step.get("topic").asText())).all().get();
        return JSON.createObjectNode().put("deleted", true);
    }

    private static byte[] bytes(JsonNode node) {
        return node == null || node.isNull() ? null : Base64.getDecoder().decode(node.asText());
    }

    private static JsonNode text(byte[] bytes) {
        return bytes == null
            ? JSON.nullNode()
            : JSON.getNodeFactory().textNode(Base64.getEncoder().encodeToString(bytes));
    }

    private JsonNode produce(JsonNode step) throws Exception {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("key.serializer", ByteArraySerializer.class);
        settings.put("value.serializer", ByteArraySerializer.class);
        settings.put("acks", step.path("acks").asText("all"));
        settings.put("compression.type", step.path("codec").asText("none"));
        settings.put("enable.idempotence", step.path("idempotent").asBoolean(false));
        settings.put("linger.ms", 5);
        settings.put("batch.size", step.path("batch_size").asInt(16384));
        settings.put("max.request.size", 20000000);
        settings.put("max.block.ms", 3000);
        settings.put("request.timeout.ms", 5000);
        settings.put("delivery.timeout.ms", 15000);
        String topic = step.get("topic").asText();
        List<Object> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings)) {
            for (JsonNode record : step.get("records")) {
                try {
                    sent.add(producer.send(record(topic, record)));
                } catch (Exception problem) {
                    sent.add(problem);
                }
            }
            producer.flush();
        }
        ArrayNode answers = JSON.createArrayNode();
        for (Object one : sent) {
            answers.add(delivery(one));
        }
        return answers;
    }

    private static ProducerRecord<byte[], byte[]> record(String topic, JsonNode node) {
        Long timestamp = node.hasNonNull("timestamp") ? node.get("timestamp").asLong() : null;
        ProducerRecord<byte[], byte[]> record =
            new ProducerRecord<>(topic, node.path("partition").asInt(0), timestamp,
                bytes(node.get("key")), bytes(node.get("value")));
        for (JsonNode header : node.path("headers")) {
            record.headers().add(header.get(0).asText(), bytes(header.get(1)));
        }
        return record;
    }

    @SuppressWarnings("unchecked")
    private static JsonNode delivery(Object sent) {
        if (sent instanceof Exception) {
            return error((Exception) sent);
        }
        try {
            RecordMetadata metadata = ((Future<RecordMetadata>) sent).get();
            return JSON.createObjectNode()
                .put("partition", metadata.partition())
                .put("offset", metadata.hasOffset() ? metadata.offset() : -1)
                .put("timestamp", metadata.timestamp());
        } catch (Exception problem) {
            return error(problem);
        }
    }

    private KafkaConsumer<byte[], byte[]> consumer(JsonNode step) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("key.deserializer", ByteArrayDeserializer.class);
        settings.put("value.deserializer", ByteArrayDeserializer.class);
        settings.put("auto.offset.reset", "none");
        settings.put("check.crcs", true);
        settings.put("fetch.max.wait.ms", 100);
        settings.put("default.api.timeout.ms", step.path("api_timeout_ms").asInt(10000));
        settings.put("allow.auto.create.topics", step.path("auto_create").asBoolean(false));
        if (step.has("fetch_bytes")) {
            settings.put("max.partition.fetch.bytes", step.get("fetch_bytes").asInt());
            settings.put("fetch.max.bytes", step.get("fetch_bytes").asInt());
        }
        return new KafkaConsumer<>(settings);
    }

    private static TopicPartition partition(JsonNode step) {
        return new TopicPartition(step.get("topic").asText(), step.path("partition").asInt(0));
    }

    private JsonNode consume(JsonNode step) {
        TopicPartition from = partition(step);
        ArrayNode records = JSON.createArrayNode();
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(step)) {
            consumer.assign(List.of(from));
            JsonNode start = step.get("start");
            if (start.isNumber()) {
                consumer.seek(from, start.asLong());
            } else if (start.asText().equals("end")) {
                consumer.seekToEnd(List.of(from));
            } else {
                consumer.seekToBeginning(List.of(from));
            }
            long end = consumer.endOffsets(List.of(from)).get(from);
            long deadline = System.nanoTime() + DEADLINE.toNanos();
            do {
                consumer.poll(Duration.ofMillis(200))
                    .forEach(record -> records.add(received(record)));
                if (System.nanoTime() > deadline) {
                    return records.add(JSON.createObjectNode().put("error", "nothing more came"));
                }
            } while (consumer.position(from) < end);
        } catch (Exception problem) {
            records.add(error(problem));
        }
        return records;
    }

    /** All partitions of a topic at once, until `count` records have come. */
    private JsonNode consumeAll(JsonNode step) {
        Map<Integer, Map<Long, String>> values = new TreeMap<>();
        int left = step.get("count").asInt();
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(step)) {
            List<TopicPartition> all = new ArrayList<>();
            for (PartitionInfo one : consumer.partitionsFor(step.get("topic").asText())) {
                all.add(new TopicPartition(one.topic(), one.partition()));
            }
            consumer.assign(all);
            consumer.seekToBeginning(all);
            long deadline = System.nanoTime() + DEADLINE.toNanos();
            while (left > 0 && System.nanoTime() < deadline) {
                for (ConsumerRecord<byte[], byte[]> one : consumer.poll(Duration.ofMillis(200))) {
                    values.computeIfAbsent(one.partition(), unused -> new TreeMap<>())
                        .put(one.offset(), new String(one.value(), StandardCharsets.UTF_8));
                    left--;
                }
            }
        }
        return JSON.createObjectNode().put("left", left).put("values", values.toString());
    }

    private static JsonNode received(ConsumerRecord<byte[], byte[]> record) {
        ObjectNode node = JSON.createObjectNode().put("offset", record.offset());
        node.put("timestamp", record.timestamp())
            .put("timestamp_type", record.timestampType().toString());
        node.set("key", text(record.key()));
        node.set("value", text(record.value()));
        node.put("leader_epoch", record.leaderEpoch().orElse(-1));
        ArrayNode headers = node.putArray("headers");
        for (Header header : record.headers()) {
            headers.add(JSON.createArrayNode().add(header.key()).add(text(header.value())));
        }
        return node;
    }

    private JsonNode times(JsonNode step) {
        TopicPartition of = partition(step);
        ArrayNode answers = JSON.createArrayNode();
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(step)) {
            for (JsonNode time : step.get("times")) {
                OffsetAndTimestamp found =
                    consumer.offsetsForTimes(Map.of(of, time.asLong())).get(of);
                if (found == null) {
                    answers.addNull();
                } else {
                    answers.addObject()
                        .put("offset", found.offset())
                        .put("timestamp", found.timestamp())
                        .put("leader_epoch", found.leaderEpoch().orElse(-1));
                }
            }
        }
        return answers;
    }

    private JsonNode watermarks(JsonNode step) {
        TopicPartition of = partition(step);
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(step)) {
            return JSON.createObjectNode()
                .put("begin", consumer.beginningOffsets(List.of(of)).get(of))
                .put("end", consumer.endOffsets(List.of(of)).get(of));
        }
    }

    private JsonNode partitions(JsonNode step) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(step)) {
            List<PartitionInfo> found = consumer.partitionsFor(step.get("topic").asText());
            ObjectNode node = JSON.createObjectNode().put("count", found.size());
            for (PartitionInfo one : found) {
                node.withArray("replicas")
                    .add(one.replicas().length + "/" + one.inSyncReplicas().length);
            }
            return node;
        }
    }
}
