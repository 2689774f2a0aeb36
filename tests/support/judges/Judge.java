// Java's two zip readers as judges: prints a line for everything that is wrong. Arguments: archive, expected folder, times.
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipInputStream;

public class Judge {
  private final String reader;
  private final String expected;
  private final boolean times;
  private final Set<String> names = new HashSet<>();

  Judge(String reader, String expected, boolean times) {
    this.reader = reader;
    this.expected = expected;
    this.times = times;
  }

  void say(String text) { System.out.println(reader + ": " + text); }

  void entry(ZipEntry entry, InputStream content) throws IOException {
    String name = entry.getName();
    if (!names.add(name)) say("twice: " + name);
    if (entry.isDirectory()) {
      if (content.read() >= 0) say("a folder with content: " + name);
      return;
    }
    CRC32 crc = new CRC32();
    byte[] buffer = new byte[1 << 16];
    long size = 0;
    Path path = expected.isEmpty() ? null : Path.of(expected, name);
    boolean compare = path != null && Files.isRegularFile(path);
    if (path != null && !compare) say("not expected: " + name);
    try (InputStream source = compare ? Files.newInputStream(path) : InputStream.nullInputStream()) {
      for (int n; (n = content.readNBytes(buffer, 0, buffer.length)) > 0; size += n) {
        crc.update(buffer, 0, n);
        byte[] wanted = compare ? source.readNBytes(n) : null;
        if (compare && !java.util.Arrays.equals(wanted, 0, wanted.length, buffer, 0, n)) {
          say("other bytes: " + name);
          compare = false;
        }
      }
      if (compare && source.read() >= 0) say("too short: " + name);
    }
    if (entry.getCrc() != crc.getValue()) say("crc: " + name);
    if (entry.getSize() != size) say("size: " + name);
    if (times && compare && entry.getLastModifiedTime().toMillis() / 1000 != Files.getLastModifiedTime(path).toMillis() / 1000) {
      say("other time: " + name + " " + entry.getLastModifiedTime());
    }
  }

  void missing() throws IOException {
    if (expected.isEmpty()) return;
    Path root = Path.of(expected);
    try (var files = Files.walk(root)) {
      files.filter(Files::isRegularFile).map(path -> root.relativize(path).toString())
          .filter(name -> !names.contains(name)).forEach(name -> say("missing: " + name));
    }
  }

  public static void main(String[] args) throws IOException {
    boolean times = args[2].equals("times");
    Judge random = new Judge("ZipFile", args[1], times);
    try (ZipFile file = new ZipFile(args[0])) {
      for (var entries = file.entries(); entries.hasMoreElements();) {
        ZipEntry entry = entries.nextElement();
        try (InputStream content = file.getInputStream(entry)) {
          random.entry(entry, content);
        }
      }
      random.missing();
    }
    Judge stream = new Judge("ZipInputStream", args[1], times);
    try (ZipInputStream in = new ZipInputStream(Files.newInputStream(Path.of(args[0])))) {
      for (ZipEntry entry; (entry = in.getNextEntry()) != null;) stream.entry(entry, in);
      stream.missing();
    }
  }
}
