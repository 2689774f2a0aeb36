"""Python's zipfile as a judge: prints a line for everything that is wrong. Arguments: archive, expected folder, times."""
import calendar
import os
import sys
import zipfile

archive, expected, times = sys.argv[1:4]
with zipfile.ZipFile(archive) as opened:
    bad = opened.testzip()
    if bad is not None:
        print("testzip:", bad)
    names = [info.filename for info in opened.infolist()]
    if len(names) != len(set(names)):
        print("duplicate names")
    for info in opened.infolist() if expected else []:
        path = os.path.join(expected, info.filename)
        if info.is_dir():
            if not os.path.isdir(path):
                print("not a folder:", info.filename)
            continue
        if not os.path.isfile(path):
            print("not expected:", info.filename)
            continue
        with open(path, "rb") as source, opened.open(info) as packed:
            while True:
                left, right = source.read(1 << 20), packed.read(1 << 20)
                if left != right:
                    print("other bytes:", info.filename)
                    break
                if not left:
                    break
        # DOS time, in UTC by our own rule, with a resolution of two seconds.
        stamp = calendar.timegm(info.date_time + (0, 0, 0))
        if times == "times" and abs(stamp - int(os.stat(path).st_mtime)) > 2:
            print("other time:", info.filename, info.date_time)
    if expected:
        for folder, _, files in os.walk(expected):
            for name in files:
                relative = os.path.relpath(os.path.join(folder, name), expected)
                if relative not in opened.NameToInfo:
                    print("missing:", relative)
