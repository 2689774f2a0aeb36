"""A folder into a zip archive by Python's own zipfile, as a script would do it.

zipfile_peer.py store|deflate OUT.zip FOLDER
"""

import os
import sys
import zipfile


def main():
    method, output, top = sys.argv[1:]
    compression = {"store": zipfile.ZIP_STORED, "deflate": zipfile.ZIP_DEFLATED}[method]
    above = os.path.dirname(top)
    with zipfile.ZipFile(output, "w", compression, strict_timestamps=False) as archive:
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                archive.write(path, os.path.relpath(path, above))


main()
