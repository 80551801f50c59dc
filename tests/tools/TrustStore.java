import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;

/** Writes the certificates of a PEM bundle into a Java key store: BUNDLE STORE PASSWORD. */
public class TrustStore {
    public static void main(String[] arguments) throws Exception {
        KeyStore store = KeyStore.getInstance("JKS");
        store.load(null, null);
        int count = 0;
        try (FileInputStream bundle = new FileInputStream(arguments[0])) {
            CertificateFactory factory = CertificateFactory.getInstance("X.509");
            for (Certificate certificate : factory.generateCertificates(bundle)) {
                store.setCertificateEntry("certificate-" + count++, certificate);
            }
        }
        try (FileOutputStream out = new FileOutputStream(arguments[1])) {
            store.store(out, arguments[2].toCharArray());
        }
    }
}
