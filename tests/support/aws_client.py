#!/usr/bin/env python3
"""AWS's own client (botocore), for one thing at a time: it says what a right signature is.

aws_client.py ENDPOINT REGION BUCKET put KEY TEXT | get KEY | list PREFIX | uploads KEY | parts KEY MEGABYTES | redirect KEY

Credentials and their file come from the environment. What is asked for is printed; keys in a listing one a line.
"""

import base64
import hashlib
import sys

import botocore.config
import botocore.session


def main():
    endpoint, region, bucket, verb, key, *more = sys.argv[1:]
    config = botocore.config.Config(signature_version="s3v4", retries={"max_attempts": 0}, s3={"addressing_style": "path"})
    client = botocore.session.get_session().create_client("s3", region_name=region, endpoint_url=endpoint, config=config)

    def md5(body):
        return base64.b64encode(hashlib.md5(body).digest()).decode()

    if verb == "put":
        body = more[0].encode()
        client.put_object(Bucket=bucket, Key=key, Body=body, ContentMD5=md5(body))
    elif verb == "get":
        sys.stdout.write(client.get_object(Bucket=bucket, Key=key)["Body"].read().decode())
    elif verb == "redirect":
        print(client.head_object(Bucket=bucket, Key=key)["WebsiteRedirectLocation"])
    elif verb == "list":
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
            for listed in page.get("Contents", []):
                print(listed["Key"])
    elif verb == "uploads":
        for upload in client.list_multipart_uploads(Bucket=bucket, Prefix=key).get("Uploads", []):
            print(upload["Key"])
    elif verb == "parts":
        upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        parts = []
        for number in (1, 2):
            body = str(number).encode() * (int(more[0]) << 20)
            sent = client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body,
                                      ContentMD5=md5(body))
            parts.append({"ETag": sent["ETag"], "PartNumber": number})
        client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})


main()
