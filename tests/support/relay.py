#!/usr/bin/env python3
"""A TCP relay on loopback: delivers everything later, and counts.

relay.py TARGET_PORT [MILLISECONDS]

Its first line of output is its port. Bytes are delivered so many milliseconds (0) after they came, in both directions, without
a limit to how many are on their way: a long line of any width. SIGUSR1 has it print how many bytes went to the clients,
SIGUSR2 how many came from them.
"""

import asyncio
import signal
import sys
import time


class Relay:
    def __init__(self, target, delay):
        self.target = target
        self.delay = delay
        self.sent = 0
        self.received = 0

    async def deliver(self, queue, writer):
        while True:
            due, data = await queue.get()
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            if not data:
                break
            writer.write(data)
            await writer.drain()
        writer.close()

    async def pump(self, reader, writer, to_client):
        queue = asyncio.Queue()
        delivery = asyncio.create_task(self.deliver(queue, writer))
        try:
            while data := await reader.read(1 << 18):
                if to_client:
                    self.sent += len(data)
                else:
                    self.received += len(data)
                queue.put_nowait((time.monotonic() + self.delay, data))
        except ConnectionError:
            pass
        queue.put_nowait((time.monotonic() + self.delay, b""))
        try:
            await delivery
        except ConnectionError:
            pass

    async def serve(self, reader, writer):
        try:
            back, there = await asyncio.open_connection("127.0.0.1", self.target, limit=1 << 20)
        except ConnectionError:
            writer.close()
            return
        await asyncio.gather(self.pump(reader, there, False), self.pump(back, writer, True))


async def main():
    relay = Relay(int(sys.argv[1]), float(sys.argv[2]) / 1000 if len(sys.argv) > 2 else 0)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, lambda: print(relay.sent, flush=True))
    loop.add_signal_handler(signal.SIGUSR2, lambda: print(relay.received, flush=True))
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
