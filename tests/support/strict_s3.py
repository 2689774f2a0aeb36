#!/usr/bin/env python3
"""An S3 server on loopback that takes nothing on trust, and fails as it is told.

strict_s3.py FOLDER BUCKET CONTROL

Objects are the files of FOLDER, keys their paths; symlinks and what is no file are not there. Every request must have a right
signature of version 4 (made here anew from what arrived), the SHA-256 of its body, and a Content-MD5 where it stores
something. Credentials: STRICTKEY, 'strict/secret+key', with the session token 'strict-token', STRICTSESSION, and STRICTREADER,
who may list and read and do nothing else. Region: strict-1.

CONTROL is a folder:
  faults    a JSON list, read for each request. {"op": "UploadPart", "do": "status", ...}: the first that fits is done.
            "skip": so many requests go through first; "times": so many fail (without: all).
  log       a line for each request: "GetObject key 206 0-7"
  uploads   "id key" of each upload that has not ended

The first line of output is the port.
"""

import base64
import calendar
import email.utils
import hashlib
import hmac
import http.server
import json
import os
import re
import socket
import struct
import sys
import threading
import time
import urllib.parse
import xml.sax.saxutils

REGION = "strict-1"
CREDENTIALS = {"STRICTKEY": ("strict/secret+key", None), "STRICTSESSION": ("strict/secret+key", "strict-token"),
               "STRICTREADER": ("strict/secret+key", None)}
READER = "STRICTREADER"
READING = ("ListObjectsV2", "HeadObject", "GetObject")
XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
SAFE = "-._~"


class Refused(Exception):
    def __init__(self, status, code, message="no", **more):
        super().__init__(code)
        self.status, self.code, self.message, self.more = status, code, message, more


class Store:
    def __init__(self, folder, bucket, control):
        self.folder, self.bucket, self.control = folder, bucket, control
        self.lock = threading.RLock()
        self.meta = {}  # key -> (identity of the file, etag, headers)
        self.uploads = {}
        self.faults_text, self.faults = None, []

    def path(self, key):
        return os.path.join(self.folder, key)

    @staticmethod
    def identity(path):
        status = os.lstat(path)
        return status.st_mtime_ns, status.st_ino, status.st_size, status.st_ctime_ns

    def find(self, key):
        """(path, etag, headers, size, mtime), or None."""
        path = self.path(key)
        if not key or "//" in key or any(part in ("", ".", "..") for part in key.split("/")):
            return None
        folder = self.folder
        for part in key.split("/")[:-1]:
            folder = os.path.join(folder, part)
            if os.path.islink(folder):
                return None
        if os.path.islink(path) or not os.path.isfile(path):
            return None
        with self.lock:
            identity = self.identity(path)
            known = self.meta.get(key)
            if not known or known[0] != identity:
                with open(path, "rb") as file:
                    known = (identity, hashlib.md5(file.read()).hexdigest(), {})
                self.meta[key] = known
        return path, known[1], known[2], identity[2], identity[0] // 1_000_000_000

    def store(self, key, body, etag, headers):
        path = self.path(key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with self.lock:
            temporary = os.path.join(self.control, f"body-{threading.get_ident()}")
            with open(temporary, "wb") as file:
                file.write(body)
            os.replace(temporary, path)
            self.meta[key] = (self.identity(path), etag, headers)

    def remove(self, key):
        with self.lock:
            if self.find(key):
                os.remove(self.path(key))

    def keys(self):
        found = []
        for folder, folders, files in os.walk(self.folder):
            folders[:] = [name for name in folders if not os.path.islink(os.path.join(folder, name))]
            for name in files:
                key = os.path.relpath(os.path.join(folder, name), self.folder)
                if self.find(key):
                    found.append(key)
        return sorted(found, key=os.fsencode)

    def note_uploads(self):
        with open(os.path.join(self.control, "uploads.new"), "w") as file:
            for upload, (key, _, _) in self.uploads.items():
                file.write(f"{upload} {key}\n")
        os.replace(os.path.join(self.control, "uploads.new"), os.path.join(self.control, "uploads"))

    def fault(self, op):
        with self.lock:
            try:
                with open(os.path.join(self.control, "faults")) as file:
                    text = file.read()
            except FileNotFoundError:
                text = "[]"
            if text != self.faults_text:
                self.faults_text, self.faults = text, json.loads(text)
            for fault in self.faults:
                if op not in fault["op"].split(","):
                    continue
                if fault.get("skip", 0) > 0:
                    fault["skip"] -= 1
                    continue
                if fault.get("times", 1) <= 0:
                    continue
                if "times" in fault:
                    fault["times"] -= 1
                return fault
        return {}


def quote(text):
    return urllib.parse.quote(text, safe=SAFE, errors="surrogateescape")


def hmac256(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store = None

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, BrokenPipeError, TimeoutError):
            self.close_connection = True

    def do_GET(self):
        self.serve()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    # What arrived

    def require_signature(self, raw_path, pairs, body):
        """Returns whose it is."""
        text = self.headers.get("Authorization", "")
        match = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, SignedHeaders=([^,]+), "
            r"Signature=([0-9a-f]{64})", text)
        if not match:
            raise Refused(403, "AccessDenied", "no signature")
        key, day, region, names, signature = match.groups()
        if key not in CREDENTIALS:
            raise Refused(403, "InvalidAccessKeyId", f"no key {key}")
        secret, token = CREDENTIALS[key]
        if self.headers.get("x-amz-security-token") != token:
            raise Refused(400, "InvalidToken", "another session token")
        if region != REGION:
            raise Refused(400, "AuthorizationHeaderMalformed", f"the region '{region}' is wrong; expecting '{REGION}'",
                          Region=REGION)
        signed = names.split(";")
        if signed != sorted(signed) or len(set(signed)) != len(signed) or names != names.lower():
            raise Refused(400, "InvalidArgument", "SignedHeaders are not sorted")
        for name in {name.lower() for name in self.headers.keys()}:
            must = name == "host" or name.startswith("x-amz-") or name in ("content-type", "content-md5", "if-match")
            if must and name not in signed:
                raise Refused(403, "AccessDenied", f"the header {name} is not signed")
        date = self.headers.get("x-amz-date", "")
        sent = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
        if date[:8] != day or abs(sent - time.time()) > 900:
            raise Refused(403, "RequestTimeTooSkewed", "the difference is too large")
        payload = self.headers.get("x-amz-content-sha256", "")
        if payload != hashlib.sha256(body).hexdigest():
            raise Refused(400, "XAmzContentSHA256Mismatch", "the body has another SHA-256")
        if re.sub(r"%[0-9A-F]{2}", "", raw_path).strip("/") and re.search(r"[^A-Za-z0-9\-._~/%]", raw_path):
            raise Refused(400, "InvalidURI", "the path is not encoded")
        decoded = urllib.parse.unquote(raw_path, errors="surrogateescape")
        path = "/".join(quote(part) for part in decoded.split("/"))
        query = "&".join(f"{name}={value}" for name, value in sorted((quote(n), quote(v)) for n, v in pairs))
        lines = "".join(f"{name}:{' '.join(','.join(self.headers.get_all(name)).split())}\n" for name in signed)
        canonical = "\n".join([self.command, path, query, lines, names, payload])
        scope = f"{day}/{region}/s3/aws4_request"
        to_sign = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        made = ("AWS4" + secret).encode()
        for part in (day, region, "s3", "aws4_request"):
            made = hmac256(made, part)
        if not hmac.compare_digest(hmac256(made, to_sign).hex(), signature):
            raise Refused(403, "SignatureDoesNotMatch", "it was to be signed: " + canonical)
        return key

    def require_md5(self, body):
        if self.headers.get("Content-MD5") != base64.b64encode(hashlib.md5(body).digest()).decode():
            raise Refused(400, "BadDigest", "the body has another MD5")

    def operation(self, key, query):
        method = self.command
        if not key:
            if method == "GET" and query.get("list-type") == "2":
                return "ListObjectsV2"
            if method == "GET" and "uploads" in query:
                return "ListMultipartUploads"
        elif method == "POST":
            return "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload"
        elif "uploadId" in query:
            return {"PUT": "UploadPart", "DELETE": "AbortMultipartUpload"}.get(method, "?")
        else:
            return {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}[method]
        return "?"

    # What is answered

    def note(self, status):
        """Before the answer, so that who has it finds the line."""
        if not self.noted:
            self.noted = True
            with self.store.lock, open(os.path.join(self.store.control, "log"), "a", errors="surrogateescape") as log:
                log.write(f"{self.asked} {status} {self.headers.get('Range', '')}\n")

    def answer(self, status, body=b"", headers=None, length=None):
        self.note(status)
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body)

    def date_time_string(self, timestamp=None):
        return super().date_time_string(timestamp if timestamp is not None else time.time() + self.clock)

    def say(self, refused):
        more = "".join(f"<{name}>{value}</{name}>" for name, value in refused.more.items())
        text = (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{refused.code}</Code><Message>'
                f"{xml.sax.saxutils.escape(refused.message)}</Message>{more}</Error>")
        headers = {"Content-Type": "application/xml"}
        if "Region" in refused.more:
            headers["x-amz-bucket-region"] = refused.more["Region"]
        if "retry_after" in self.fault:
            headers["Retry-After"] = str(self.fault["retry_after"])
        self.answer(refused.status, text.encode(), headers)

    def xml(self, text):
        self.answer(200, ('<?xml version="1.0" encoding="UTF-8"?>\n' + text).encode(), {"Content-Type": "application/xml"})

    def reset(self):
        self.note(0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
        raise ConnectionResetError

    def serve(self):
        self.noted, self.clock, self.fault = False, 0, {}
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        raw_path, _, raw_query = self.path.partition("?")
        host = self.headers.get("Host", "")
        if host.startswith(self.store.bucket + "."):  # virtual-host style
            bucket, raw_key = self.store.bucket, raw_path[1:]
        else:
            bucket, _, raw_key = raw_path[1:].partition("/")
        key = urllib.parse.unquote(raw_key, errors="surrogateescape")
        pairs = urllib.parse.parse_qsl(raw_query, keep_blank_values=True, errors="surrogateescape")
        query = dict(pairs)
        op = self.operation(key, query)
        self.asked = f"{op} {key!r}"
        self.fault = self.store.fault(op)
        try:
            self.do(op, bucket, key, query, body, raw_path, pairs)
        except Refused as refused:
            self.say(refused)

    def do(self, op, bucket, key, query, body, raw_path, pairs):
        fault = self.fault
        self.clock = fault.get("clock", 0)
        action = fault.get("do")
        if action == "reset":
            self.reset()
        if action == "stall":
            self.note(0)
            time.sleep(fault["seconds"])
            self.reset()
        if action == "status":
            raise Refused(fault["status"], fault.get("code", ""), fault.get("message", "as told"), **fault.get("more", {}))
        who = self.require_signature(raw_path, pairs, body)
        if who == READER and op not in READING:
            raise Refused(403, "AccessDenied", "Access Denied")
        if bucket != self.store.bucket:
            raise Refused(404, "NoSuchBucket", "no such bucket")
        getattr(self, op)(key, query, body)

    # Operations

    def HeadObject(self, key, query, body):
        self.GetObject(key, query, body)

    def GetObject(self, key, _query, _body):
        found = self.store.find(key)
        if not found:
            raise Refused(404, "NoSuchKey", "no such key", Key=quote(key))
        path, etag, stored, size, mtime = found
        wanted = self.headers.get("If-Match")
        if wanted and wanted != f'"{etag}"':
            raise Refused(412, "PreconditionFailed", "another version")
        headers = {"ETag": f'"{etag}"', "Last-Modified": email.utils.formatdate(mtime, usegmt=True),
                   "Accept-Ranges": "bytes", **stored}
        if self.fault.get("do") == "no_etag":
            del headers["ETag"]
        first, end, status = 0, size, 200
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if match and self.command == "GET":
            first, end, status = int(match[1]), min(size, int(match[2]) + 1), 206
            if first >= size:
                raise Refused(416, "InvalidRange", "behind its end")
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
        if self.command == "HEAD":
            self.answer(200, b"", headers, size)
            return
        with open(path, "rb") as file:
            file.seek(first)
            data = file.read(end - first)
        action = self.fault.get("do")
        if action in ("truncate", "stall_body"):
            self.answer(status, data[: len(data) // 2], headers, len(data))
            self.wfile.flush()
            if action == "stall_body":
                time.sleep(self.fault["seconds"])
            self.reset()
        self.answer(status, data, headers)

    def PutObject(self, key, _query, body):
        self.require_md5(body)
        stored = self.stored_headers()
        etag = hashlib.md5(body).hexdigest()
        headers = {}
        if self.fault.get("do") == "kms":  # then an ETag looks like an MD5, and is none
            etag = hashlib.md5(b"encrypted" + body).hexdigest()
            headers["x-amz-server-side-encryption"] = "aws:kms"
        self.store.store(key, body, etag, {**stored, **headers})
        self.answer(200, b"", {"ETag": f'"{self.told(etag)}"', **headers})

    def stored_headers(self):
        if self.fault.get("do") == "refuse_redirect" and self.headers.get("x-amz-website-redirect-location"):
            raise Refused(501, "NotImplemented", "a header you provided implies functionality that is not implemented")
        return {name: value for name, value in self.headers.items()
                if name.lower().startswith("x-amz-meta-") or
                name.lower() in ("content-type", "x-amz-website-redirect-location")}

    def told(self, etag):
        return hashlib.md5(b"wrong").hexdigest() if self.fault.get("do") == "wrong_etag" else etag

    def DeleteObject(self, key, _query, _body):
        self.store.remove(key)
        self.answer(204)

    def CreateMultipartUpload(self, key, _query, _body):
        with self.store.lock:
            upload = f"upload-{os.urandom(8).hex()}"
            self.store.uploads[upload] = (key, self.stored_headers(), {})
            self.store.note_uploads()
        self.xml(f"<InitiateMultipartUploadResult {XMLNS}><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>")

    def upload(self, key, query):
        upload = self.store.uploads.get(query.get("uploadId"))
        if not upload or upload[0] != key:
            raise Refused(404, "NoSuchUpload", "no such upload")
        return upload

    def UploadPart(self, key, query, body):
        self.require_md5(body)
        number = int(query["partNumber"])
        if not 1 <= number <= 10_000:
            raise Refused(400, "InvalidArgument", "part number")
        etag = hashlib.md5(body).hexdigest()
        with self.store.lock:
            self.upload(key, query)[2][number] = (etag, body)
        self.answer(200, b"", {"ETag": f'"{self.told(etag)}"'})

    def CompleteMultipartUpload(self, key, query, body):
        if self.fault.get("do") == "error200":
            code = self.fault.get("code", "InternalError")
            self.xml(f"<Error><Code>{code}</Code><Message>as told</Message></Error>")
            return
        with self.store.lock:
            _, headers, parts = self.upload(key, query)
            listed = [(re.search(r"<PartNumber>(\d+)</", part)[1], re.search(r"<ETag>(?:\"|&quot;)([0-9a-f]{32})", part)[1])
                      for part in re.findall(r"<Part>(.*?)</Part>", body.decode())]
            if [int(number) for number, _ in listed] != list(range(1, len(listed) + 1)) or len(listed) != len(parts):
                raise Refused(400, "InvalidPartOrder", "parts are missing")
            whole = []
            for number, etag in listed:
                if parts.get(int(number), ("", b""))[0] != etag:
                    raise Refused(400, "InvalidPart", "another part")
                whole.append(parts[int(number)][1])
            if any(len(part) < 5 << 20 for part in whole[:-1]):
                raise Refused(400, "EntityTooSmall", "a part is too small")
            digest = hashlib.md5(b"".join(bytes.fromhex(etag) for _, etag in listed)).hexdigest()
            etag = f"{digest}-{len(listed)}"
            self.store.store(key, b"".join(whole), etag, headers)
            del self.store.uploads[query["uploadId"]]
            self.store.note_uploads()
        if self.fault.get("do") == "lost_answer":
            self.reset()
        self.xml(f'<CompleteMultipartUploadResult {XMLNS}><Key>{xml.sax.saxutils.escape(quote(key))}</Key>'
                 f"<ETag>&quot;{self.told(etag)}&quot;</ETag></CompleteMultipartUploadResult>")

    def AbortMultipartUpload(self, key, query, _body):
        with self.store.lock:
            self.upload(key, query)
            del self.store.uploads[query["uploadId"]]
            self.store.note_uploads()
        self.answer(204)

    def ListMultipartUploads(self, _key, query, _body):
        with self.store.lock:
            found = sorted((key, upload) for upload, (key, _, _) in self.store.uploads.items()
                           if key.startswith(query.get("prefix", "")))
        after = (query.get("key-marker", ""), query.get("upload-id-marker", ""))
        left = [one for one in found if one > after] if after[0] else found
        page = left[: self.fault.get("page", 1000)]
        text = "".join(f"<Upload><Key>{quote(key)}</Key><UploadId>{upload}</UploadId></Upload>" for key, upload in page)
        more = len(left) > len(page)
        if more:
            text += f"<NextKeyMarker>{quote(page[-1][0])}</NextKeyMarker><NextUploadIdMarker>{page[-1][1]}</NextUploadIdMarker>"
        self.xml(f"<ListMultipartUploadsResult {XMLNS}><EncodingType>url</EncodingType>"
                 f"<IsTruncated>{str(more).lower()}</IsTruncated>{text}</ListMultipartUploadsResult>")

    def ListObjectsV2(self, _key, query, _body):
        if query.get("encoding-type") != "url":
            raise Refused(400, "InvalidArgument", "control characters would be lost")
        action = self.fault.get("do")
        token, prefix = query.get("continuation-token", ""), query.get("prefix", "")
        most = min(self.fault.get("page", 1000), int(query.get("max-keys", 1000)))
        if action == "trickle":
            self.answer(200, b"<L", length=1 << 20)
            while True:
                self.wfile.write(b" " * 2048)
                self.wfile.flush()
                time.sleep(0.25)
        if action == "flood":
            self.flood()
        if action == "endless":
            first = int(token or 0)
            digits = self.fault.get("digits", 12)
            listed = [(f"{prefix}{number:0{digits}}", 1, "e", 0) for number in range(first, first + most)]
            return self.page(listed, str(first + most))
        if action == "empty_pages":
            return self.page([], str(int(token or 0) + 1))
        keys = [key for key in self.store.keys() if key.startswith(prefix)]
        listed = [(key, *(self.store.find(key)[index] for index in (3, 1, 4))) for key in keys]
        listed += [(prefix + name, 1, "e", 0) for name in self.fault.get("names", [])]
        if action == "unsorted":
            listed.reverse()
        else:
            listed.sort(key=lambda one: os.fsencode(one[0]))
        if action == "repeat":  # the same keys, by another token each time
            return self.page(listed[:most], str(int(token or 0) + 1))
        if action == "loop":  # the same token
            return self.page(listed[:most] if not token else [], "again")
        start = int(token or 0)
        page = listed[start: start + most]
        return self.page(page, str(start + most) if len(listed) > start + most else "")

    def page(self, listed, token):
        text = ""
        for key, size, etag, mtime in listed:
            when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(mtime))
            text += (f"<Contents><Key>{urllib.parse.quote_plus(key, safe=SAFE + '/', errors='surrogateescape')}</Key>"
                     f"<LastModified>{when}</LastModified><ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size></Contents>")
        if token:
            text += f"<NextContinuationToken>{token}</NextContinuationToken>"
        self.xml(f"<ListBucketResult {XMLNS}><EncodingType>url</EncodingType>"
                 f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>{text}</ListBucketResult>")

    def flood(self):
        self.note(200)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        chunk = b"<Contents><Key>flood</Key></Contents>" * 2000
        while True:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass


def main():
    Handler.store = Store(*sys.argv[1:4])
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


main()
