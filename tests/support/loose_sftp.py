#!/usr/bin/python3
"""An SFTP server on loopback that does less than OpenSSH's: paramiko's.

loose_sftp.py HOST_KEY AUTHORIZED_KEYS HOW

What it calls the canonical path of a file is only tidied text: symlinks in it stay. It serves all of this host's files that its
user may read. HOW is a list of words with commas between them:
  stat     folders list symlinks as what they lead to
  openssh  it calls itself OpenSSH
  flood    a folder of the name 'flood' lists names of 4,000 bytes without an end

The first line of output is the port.
"""

import os
import socket
import sys
import threading

import paramiko


class Login(paramiko.ServerInterface):
    def __init__(self, allowed):
        self.allowed = allowed

    def get_allowed_auths(self, _user):
        return "publickey"

    def check_auth_publickey(self, _user, key):
        return paramiko.AUTH_SUCCESSFUL if key.get_base64() in self.allowed else paramiko.AUTH_FAILED

    def check_channel_request(self, _kind, _number):
        return paramiko.OPEN_SUCCEEDED


class Flood(list):
    """A list without an end, of which slices are taken from the front."""

    def __init__(self, first=0):
        super().__init__()
        self.first = first

    def __getitem__(self, part):
        if part.start:
            return Flood(self.first + part.start)
        return [self.entry(number) for number in range(self.first, self.first + part.stop)]

    def __len__(self):
        return sys.maxsize

    @staticmethod
    def entry(number):
        attributes = paramiko.SFTPAttributes()
        attributes.st_mode, attributes.st_size, attributes.st_atime, attributes.st_mtime = 0o100644, 1, 1, 1
        attributes.filename = f"{number:04000}"
        return attributes


def tried(work):
    try:
        return work()
    except OSError as error:
        return paramiko.SFTPServer.convert_errno(error.errno)


class Files(paramiko.SFTPServerInterface):
    how = []

    def list_folder(self, path):
        if "flood" in self.how and os.path.basename(path) == "flood":
            return Flood()
        look = os.stat if "stat" in self.how else os.lstat

        def attributes(name):
            there = os.path.join(path, name)
            try:
                return paramiko.SFTPAttributes.from_stat(look(there), name)
            except OSError:
                return paramiko.SFTPAttributes.from_stat(os.lstat(there), name)

        return tried(lambda: [attributes(name) for name in os.listdir(path)])

    def stat(self, path):
        return tried(lambda: paramiko.SFTPAttributes.from_stat(os.stat(path)))

    def lstat(self, path):
        return tried(lambda: paramiko.SFTPAttributes.from_stat(os.lstat(path)))

    def readlink(self, path):
        return tried(lambda: os.readlink(path))

    def open(self, path, _flags, _attributes):
        def opened():
            handle = paramiko.SFTPHandle()
            handle.readfile = open(path, "rb")
            handle.stat = lambda: paramiko.SFTPAttributes.from_stat(os.fstat(handle.readfile.fileno()))
            return handle

        return tried(opened)


def serve(client, host_key, allowed):
    transport = paramiko.Transport(client)
    transport.add_server_key(host_key)
    if "openssh" in Files.how:
        transport.local_version = "SSH-2.0-OpenSSH_9.2"
    transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Files)
    try:
        transport.start_server(server=Login(allowed), event=threading.Event())
        transport.join()
    except (paramiko.SSHException, EOFError, OSError):
        pass


def main():
    host_key = paramiko.Ed25519Key(filename=sys.argv[1])
    with open(sys.argv[2]) as lines:
        allowed = {line.split()[1] for line in lines if line.strip()}
    Files.how = sys.argv[3].split(",")
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(100)
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, host_key, allowed), daemon=True).start()


main()
