"""A small message service, as an interface engine is one: messages come over TCP, wait in a folder, and are sent on.

It stands alone and needs nothing but Python, since it is delivered to hosts as a vendor's program:

    gateway run            serve: a message is a line `ID text`, the answer `AA ID` (taken) or `AH ID` (held back)
    gateway stop|start     shut and open the intake; what comes meanwhile is held back
    gateway queue          how many messages wait
    gateway in|out         how many were ever taken in and sent on
    gateway replay         take in what was held back, and print how many that were

All of it lies in the folder `shared` beside the versions; the receiver is the folder `delivered` in it, which is away
while a file `away` is there. A file `etc/loses` in the version makes it a bad one: what it sends on arrives nowhere.
"""

import os
import socket
import socketserver
import sys
import threading
import time
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
SHARED = HOME.parent.parent / "shared"
QUEUE, HELD, DELIVERED = SHARED / "queue", SHARED / "held", SHARED / "delivered"
TAKEN, SENT = SHARED / "in.log", SHARED / "out.log"
CLOSED, AWAY, PORT = SHARED / "closed", SHARED / "away", SHARED / "port"
LOSES = HOME / "etc" / "loses"
STOP = "\x01stop"


def put(folder: Path, name: str, text: str) -> None:
    """Write a file under its name at once, so that nobody reads half a message."""
    draft = SHARED / f".{name}.{os.getpid()}"
    draft.write_text(text, encoding="utf-8")
    draft.rename(folder / name)


def note(log: Path, name: str) -> None:
    with log.open("a", encoding="utf-8") as lines:
        lines.write(f"{name}\n")


def count(log: Path) -> int:
    return len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0


class Intake(socketserver.StreamRequestHandler):
    """One sender. Whoever shuts the intake waits until the message in hand is in the queue."""

    lock = threading.Lock()

    def handle(self) -> None:
        for line in self.rfile:
            with self.lock:
                answer = self.take(line.decode("utf-8").rstrip("\n"))
            self.wfile.write(f"{answer}\n".encode())

    def take(self, line: str) -> str:
        if line == STOP:
            CLOSED.touch()
            return "stopped"
        name, _, text = line.partition(" ")
        if CLOSED.exists():
            put(HELD, name, text)
            return f"AH {name}"
        note(TAKEN, name)
        put(QUEUE, name, text)
        return f"AA {name}"


def send_on() -> None:
    """Work off the queue, for ever."""
    while True:
        for message in sorted(QUEUE.iterdir()) if not AWAY.exists() else ():
            if not LOSES.exists():
                put(DELIVERED, message.name, message.read_text(encoding="utf-8"))
                note(SENT, message.name)
            message.unlink()
        time.sleep(0.02)


def run() -> None:
    for folder in (QUEUE, HELD, DELIVERED):
        folder.mkdir(parents=True, exist_ok=True)
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Intake) as server:
        put(SHARED, PORT.name, str(server.server_address[1]))
        threading.Thread(target=send_on, daemon=True).start()
        server.serve_forever()


def stop() -> None:
    try:
        with socket.create_connection(("127.0.0.1", int(PORT.read_text())), timeout=10) as service:
            service.sendall(f"{STOP}\n".encode())
            service.recv(64)
    except (OSError, ValueError):  # nobody serves: nothing is in anybody's hand
        CLOSED.touch()


def replay() -> None:
    held = sorted(HELD.iterdir()) if HELD.exists() else []
    for message in held:
        note(TAKEN, message.name)
        message.rename(QUEUE / message.name)
    print(len(held))


def main(verb: str) -> None:
    match verb:
        case "run":
            run()
        case "stop":
            stop()
        case "start":
            CLOSED.unlink(missing_ok=True)
        case "queue":
            print(len(list(QUEUE.iterdir())) if QUEUE.exists() else 0)
        case "in":
            print(count(TAKEN))
        case "out":
            print(count(SENT))
        case "replay":
            replay()
        case _:
            sys.exit(f"unknown verb {verb}")


if __name__ == "__main__":
    main(sys.argv[1])
