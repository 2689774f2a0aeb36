// Java's readers as judges (README.md), in one virtual machine: ZipFile, ZipInputStream, and `jar xf` where a second
// argument asks to unpack into the working directory. First argument: archive. Built into build/<preset>/judges.
// Known limits: `jar xf` ends at a negative time in 0x5455, and ZipInputStream at stored entries with a data descriptor.
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.spi.ToolProvider;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipInputStream;

public class Judge {
  private static final PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);

  static void report(String reader, ZipEntry entry, InputStream content) throws IOException, GeneralSecurityException {
    MessageDigest digest = MessageDigest.getInstance("SHA-256");
    byte[] buffer = new byte[1 << 16];
    long size = 0;
    for (int n; (n = content.read(buffer)) > 0; size += n) digest.update(buffer, 0, n);
    String hex = entry.isDirectory() ? "-" : HexFormat.of().formatHex(digest.digest());
    long seconds = Math.floorDiv(entry.getLastModifiedTime().toMillis(), 1000L);
    out.print(String.join("\t", reader, "-", "=" + seconds, Long.toString(size), hex, entry.getName()) + "\n");
  }

  public static void main(String[] args) throws IOException, GeneralSecurityException {
    try (ZipFile file = new ZipFile(args[0])) {
      for (var entries = file.entries(); entries.hasMoreElements();) {
        ZipEntry entry = entries.nextElement();
        try (InputStream content = file.getInputStream(entry)) {
          report("java ZipFile", entry, content);
        }
      }
    }
    try (ZipInputStream in = new ZipInputStream(Files.newInputStream(Path.of(args[0])))) {
      for (ZipEntry entry; (entry = in.getNextEntry()) != null;) report("java ZipInputStream", entry, in);
    }
    out.print("end\n");
    out.flush();
    if (args.length > 1) {
      int status = ToolProvider.findFirst("jar").orElseThrow().run(System.err, System.err, "xf", args[0]);
      if (status != 0) System.exit(status);
    }
  }
}
