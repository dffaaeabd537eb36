# The other end of TLS dialogues, over the kernel's sockets and OpenSSL.
# Usage: tls_peer.py DIALOGUE client|server HOST PORT CA CERT KEY
# It prints what it sees. A server serves as many connections as its dialogue has.
import select
import socket
import ssl
import sys

dialogue, role, host, port, ca, cert, key = sys.argv[1:]
port = int(port)
name = 'server.example'
listener = None


def say(*words):
    print(*words, flush=True)


def context():
    if role == 'server':
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(cert, key)
    else:
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.load_verify_locations(ca)
    return ctx


def plain():
    global listener
    if role == 'client':
        return socket.create_connection((host, port), 30)
    if listener is None:
        listener = socket.create_server((host, port))
        listener.settimeout(30)
        say('Listening')
    conn, _ = listener.accept()
    conn.settimeout(30)
    return conn


def wrap(ctx, sock, **more):
    if role == 'server':
        return ctx.wrap_socket(sock, server_side=True, **more)
    return ctx.wrap_socket(sock, server_hostname=name, **more)


def line(sock):
    """One line, a byte at a time: nothing behind it is taken."""
    text = b''
    while not text.endswith(b'\n'):
        byte = sock.recv(1)
        if not byte:
            raise EOFError(text)
        text += byte
    return text.decode().rstrip('\n')


def expect(sock, want):
    got = line(sock)
    if got != want:
        raise ValueError('got %r, want %r' % (got, want))
    say('got', got)


def send(sock, text):
    sock.sendall(text.encode() + b'\n')


def starttls():
    """Plain, TLS, plain, TLS, plain: this side begins to unwrap the first, the other the second."""
    s = plain()
    ctx = context()
    send(s, 'ready')
    expect(s, 'STARTTLS')
    send(s, 'go ahead')
    s = wrap(ctx, s)
    say(s.version())
    expect(s, 'secret')
    send(s, 'secret too')
    s = s.unwrap()
    expect(s, 'plain again')
    send(s, 'and TLS again')
    s = wrap(ctx, s)
    expect(s, 'secret again')
    send(s, 'your turn')
    if s.recv(10) != b'':
        raise ValueError('more came before close_notify')
    s = s.unwrap()
    expect(s, 'the last')
    send(s, 'bye')
    s.close()


def glued():
    """close_notify and what follows in one piece, by memory BIOs, and taken apart from one."""
    s = plain()
    ctx = context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    if role == 'server':
        tls = ctx.wrap_bio(incoming, outgoing, server_side=True)
    else:
        tls = ctx.wrap_bio(incoming, outgoing, server_hostname=name)

    def run(call):
        while True:
            try:
                result = call()
            except ssl.SSLWantReadError:
                s.sendall(outgoing.read())
                data = s.recv(65536)
                if not data:
                    raise EOFError
                incoming.write(data)
                continue
            s.sendall(outgoing.read())
            return result

    run(tls.do_handshake)
    if run(lambda: tls.read(7)) != b'secret\n':
        raise ValueError('no secret')
    tls.write(b'secret too\n')
    try:
        tls.unwrap()
    except ssl.SSLWantReadError:
        pass
    s.sendall(outgoing.read() + b'plain again\n')
    say('sent in one piece')
    run(tls.unwrap)
    rest = incoming.read()
    while not rest.endswith(b'\n'):
        data = s.recv(1000)
        if not data:
            raise EOFError(rest)
        rest += data
    say('after close_notify', rest)
    s.close()


def nonblocking():
    """A megabyte comes and goes back, without blocking."""
    s = plain()
    s.setblocking(False)
    s = wrap(context(), s, do_handshake_on_connect=False)

    def run(call):
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                waits.add('read')
                ready = select.select([s], [], [], 30)
            except ssl.SSLWantWriteError:
                waits.add('write')
                ready = select.select([], [s], [], 30)
            if ready == ([], [], []):
                raise TimeoutError

    waits = set()
    run(s.do_handshake)
    data = bytearray()
    while len(data) < 1 << 20:
        got = run(lambda: s.recv(1 << 16))
        if not got:
            raise EOFError(len(data))
        data += got
    say('received', len(data))
    while data:
        del data[:run(lambda: s.send(data))]
    run(s.unwrap).close()
    say('waited to', *sorted(waits))


def sessions():
    """Three connections; as a client with the session of the one before."""
    ctx = context()
    session = None
    for _ in range(3):
        if role == 'client':
            s = wrap(ctx, plain(), session=session)
        else:
            s = wrap(ctx, plain())
        send(s, 'hello')
        expect(s, 'hello')
        say('reused', s.session_reused)
        if role == 'client':
            session = s.session
        if s.recv(10) != b'':
            raise ValueError('more came before close_notify')
        s.unwrap().close()


def half():
    """The other side says close_notify and reads on, then this side does."""
    ctx = context()
    s = wrap(ctx, plain())
    expect(s, 'hello')
    if s.recv(10) != b'':
        raise ValueError('more came before close_notify')
    send(s, 'more')
    send(s, 'and more')
    s.unwrap().close()
    s = wrap(ctx, plain())
    send(s, 'hello')
    expect(s, 'hello')
    s.setblocking(False)
    try:
        s.unwrap()
    except ssl.SSLWantReadError:
        say('shut')
    s.settimeout(30)
    expect(s, 'more')
    expect(s, 'and more')
    s.unwrap().close()


def ragged():
    """Two connections that this side closes without close_notify, then two that the other does."""
    ctx = context()
    for _ in range(2):
        s = wrap(ctx, plain())
        send(s, 'hello')
        expect(s, 'hello')
        s.close()
    for suppress in True, False:
        if not suppress:
            ctx.options &= ~0x80  # OP_IGNORE_UNEXPECTED_EOF, which some versions set
        s = wrap(ctx, plain(), suppress_ragged_eofs=suppress)
        send(s, 'hello')
        expect(s, 'hello')
        try:
            say('end', s.recv(10))
        except ssl.SSLError as err:  # some versions have no SSLEOFError for it
            if not isinstance(err, ssl.SSLEOFError) and err.reason != 'UNEXPECTED_EOF_WHILE_READING':
                raise
            say('ragged end', err)
        s.close()


globals()[dialogue]()
say('done')
