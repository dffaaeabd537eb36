# A dialogue that is plain, then TLS, then plain again.
#
#   starttls.py client HOST PORT CAFILE
#   starttls.py server HOST PORT CERTFILE
import socket, ssl, sys

role, host, port, file = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]


def line(s):
    data = b''
    while not data.endswith(b'\n'):
        part = s.recv(1)
        if not part:
            raise SystemExit('the end after %r' % data)
        data += part
    return data.decode().strip()


def expect(s, want):
    got = line(s)
    if got != want:
        raise SystemExit('%r, not %r' % (got, want))


if role == 'client':
    s = socket.create_connection((host, port))
    ctx = ssl.create_default_context(cafile=file)
    for i in range(3):
        s.sendall(b'STARTTLS\n')
        expect(s, 'go')
        t = ctx.wrap_socket(s, server_hostname='server.example')
        t.sendall(b'secret\n')
        expect(t, 'SECRET')
        s = t.unwrap()
        s.sendall(b'plain\n')
        expect(s, 'PLAIN')
else:
    l = socket.create_server((host, port))
    print('listening', flush=True)
    s, _ = l.accept()
    ctx = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ctx.load_cert_chain(file)
    for i in range(3):
        expect(s, 'STARTTLS')
        s.sendall(b'go\n')
        t = ctx.wrap_socket(s, server_side=True)
        expect(t, 'secret')
        t.sendall(b'SECRET\n')
        s = t.unwrap()
        expect(s, 'plain')
        s.sendall(b'PLAIN\n')
s.close()
print('done')
