package tls

import (
	"crypto/tls"
	"io"
)

// BIOObject is a TLS connection over two [MemoryBIO]s, whose records somebody
// else carries: what ssl.SSLObject is since Python 3.5. ([SSLObject] is that of
// the 2.5 document.) No call waits: SSLWantReadError asks for bytes in incoming,
// and what is in outgoing is to be sent after every call, failed ones included.
type BIOObject struct {
	con  *connection
	opts WrapOptions
}

// WrapBIO makes one: wrap_bio. It never shakes hands by itself.
func (c *SSLContext) WrapBIO(incoming, outgoing *MemoryBIO, opts WrapOptions) (*BIOObject, error) {
	if err := opts.check(c); err != nil {
		return nil, err
	}
	con, err := c.connection(bioTransport{incoming, outgoing}, nil, get(c, &c.clock), &opts, true)
	if err != nil {
		return nil, err
	}
	return &BIOObject{con, opts}, nil
}

func (o *BIOObject) facts() facts { return facts{func() *connection { return o.con }} }

// DoHandshake shakes hands, or goes on with it.
func (o *BIOObject) DoHandshake() error {
	return o.con.handshake("do_handshake", &limit{now: true})
}

// Read reads at most n bytes. After the peer's close_notify it is no bytes and
// SSLZeroReturnError, where incoming ended without one SSLEOFError, unless
// OP_IGNORE_UNEXPECTED_EOF makes that the same.
func (o *BIOObject) Read(n int) ([]byte, error) {
	if n < 0 {
		return nil, valueError("read", "size should not be negative")
	}
	buf := make([]byte, min(n, recordMax))
	got, err := o.con.read("read", buf, &limit{now: true})
	if err == io.EOF {
		err = convert("read", err)
	}
	return buf[:got:got], err
}

// Write writes all of data into outgoing.
func (o *BIOObject) Write(data []byte) (int, error) {
	return o.con.write("write", data, &limit{now: true})
}

// Unwrap says the end, and reads the peer's. Plain text that follows stays in
// incoming.
func (o *BIOObject) Unwrap() error { return o.con.unwrap(&limit{now: true}) }

// Close ends a handshake that will not go on. A BIOObject whose handshake is over
// needs none.
func (o *BIOObject) Close() error {
	o.con.closed.Store(true)
	o.con.abandon()
	return nil
}

// Pending is [SSLSocket.Pending].
func (o *BIOObject) Pending() int { return o.con.pending() }

// Context is [SSLSocket.Context].
func (o *BIOObject) Context() *SSLContext { return o.con.ctx.Load() }

// ServerSide is [SSLSocket.ServerSide].
func (o *BIOObject) ServerSide() bool { return o.opts.ServerSide }

// ServerHostname is [SSLSocket.ServerHostname].
func (o *BIOObject) ServerHostname() string { return o.opts.ServerHostname }

// Getpeercert is [SSLSocket.Getpeercert].
func (o *BIOObject) Getpeercert() (*Certificate, error) { return o.facts().peercert() }

// GetpeercertBinary is [SSLSocket.GetpeercertBinary].
func (o *BIOObject) GetpeercertBinary() ([]byte, error) { return o.facts().peercertBinary() }

// Version is [SSLSocket.Version].
func (o *BIOObject) Version() string { return o.facts().version() }

// Cipher is [SSLSocket.Cipher].
func (o *BIOObject) Cipher() *CipherName { return o.facts().cipher() }

// SharedCiphers is [SSLSocket.SharedCiphers].
func (o *BIOObject) SharedCiphers() []CipherName { return o.facts().sharedCiphers() }

// Compression is [SSLSocket.Compression].
func (o *BIOObject) Compression() string { return "" }

// SelectedAlpnProtocol is [SSLSocket.SelectedAlpnProtocol].
func (o *BIOObject) SelectedAlpnProtocol() string { return o.facts().state().NegotiatedProtocol }

// GetChannelBinding is [SSLSocket.GetChannelBinding].
func (o *BIOObject) GetChannelBinding(kind string) ([]byte, error) {
	return o.facts().channelBinding(kind)
}

// ConnectionState is [SSLSocket.ConnectionState].
func (o *BIOObject) ConnectionState() tls.ConnectionState { return o.con.state() }

// Session is [SSLSocket.Session].
func (o *BIOObject) Session() *SSLSession {
	if o.con.server {
		return nil
	}
	return o.con.session.Load()
}

// SessionReused is [SSLSocket.SessionReused].
func (o *BIOObject) SessionReused() bool { return o.facts().state().DidResume }
