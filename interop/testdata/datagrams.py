# Sends datagrams of several lengths and checks that each comes back.
# Usage: datagrams.py HOST PORT
import socket
import sys

af, socktype, proto, _, sa = socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), 0, socket.SOCK_DGRAM)[0]
s = socket.socket(af, socktype, proto)
s.settimeout(10)
s.connect(sa)
for n in 0, 1, 1400, 1472, 1473, 9000, 40000:
    data = bytes((n + 31 * i) & 255 for i in range(n))
    s.send(data)
    back = s.recv(65536)
    if back != data:
        sys.exit('sent %d bytes, got %d others back' % (n, len(back)))
print('all came back')
