# ruby-zip as a judge (README.md): Zip::File, which reads the central directory, and Zip::InputStream, which reads on from
# the first byte. Argument: archive.
require 'digest'
require 'zip'

Zip.force_entry_names_encoding = 'UTF-8'
$stdout.set_encoding('UTF-8')

def report(reader, mode, entry, stream)
  folder = entry.name.end_with?('/')
  size = 0
  digest = Digest::SHA256.new
  while !folder && (block = stream.read(1 << 20)) && !block.empty?
    size += block.bytesize
    digest << block
  end
  puts [reader, mode, "=#{entry.time.to_i}", size, folder ? '-' : digest.hexdigest, entry.name].join("\t")
end

Zip::File.open(ARGV[0]) do |archive|
  archive.each do |entry|
    mode = (entry.external_file_attributes >> 16 & 0o7777).to_s(8)
    report('ruby-zip File', mode, entry, entry.directory? ? nil : entry.get_input_stream)
  end
end
Zip::InputStream.open(ARGV[0]) do |stream|
  while (entry = stream.get_next_entry)
    report('ruby-zip InputStream', '-', entry, stream)
  end
end
puts 'end'
