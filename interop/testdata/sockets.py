# Sockets of every kind, for ss to look at. Usage: sockets.py DEVICE PATH. Prints "ready" and waits to be ended.
import signal
import socket
import sys

DEVICE, PATH = sys.argv[1:]
HOST, HOST6 = "192.0.2.1", "2001:db8::1"
TCP, UDP, SEQ = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET

def make(family, type, bind=None, backlog=None, connect=None, only=None, device=None):
    s = socket.socket(family, type)
    if only is not None:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
    if device:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    if bind:
        s.bind(bind)
    if backlog is not None:
        s.listen(backlog)
    if connect:
        s.connect(connect)
    return s

inet, inet6, unix = socket.AF_INET, socket.AF_INET6, socket.AF_UNIX
listener = make(inet, TCP, (HOST, 7001), 5)
talker = make(inet, TCP, (HOST, 7101), connect=(HOST, 7001))
accepted, _ = listener.accept()
talker.sendall(b"hello")
accepted.recv(5, socket.MSG_PEEK | socket.MSG_WAITALL)
waiting = make(inet, TCP, (HOST, 7102), connect=(HOST, 7001))
both = make(inet6, TCP, ("::", 7002), 7, only=0)
half = make(inet, TCP, (HOST, 7103), connect=(HOST, 7002))
left, _ = both.accept()
half.shutdown(socket.SHUT_WR)
left.recv(1)
only = make(inet6, TCP, ("::", 7003), 7, only=1)
six = make(inet6, TCP, (HOST6, 7104), connect=(HOST6, 7003))
mine, _ = only.accept()
fresh = make(inet, TCP)
bound = make(inet, TCP, (HOST, 7004))
udp = [make(inet, UDP, ("", 7005)), make(inet6, UDP, ("::1", 7006)), make(inet, UDP, (HOST, 7007), connect=("192.0.2.9", 7999)),
       make(inet, UDP, ("", 7008), device=DEVICE), make(inet6, UDP, ("::", 7009), only=0), make(inet6, UDP, ("::", 7010), only=1), make(inet, UDP)]
named = make(unix, TCP, PATH, 3)
client = make(unix, TCP, connect=PATH)
a, b = socket.socketpair(unix, SEQ)
a.send(b"abc")
abstract = make(unix, UDP, "\0" + PATH)
c, d = socket.socketpair(unix, UDP)
print("ready", flush=True)
signal.pause()
