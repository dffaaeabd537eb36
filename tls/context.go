package tls

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"usersock/stack/endpoint"
)

// SSLContext is what connections are made from: ssl.SSLContext. What is set
// counts for the connections that are made afterwards. All methods may be called
// from any goroutine.
type SSLContext struct {
	protocol int
	bufs     buffers
	stats    [5]atomic.Int64

	mu            sync.Mutex // a leaf
	options       int64
	mode          int
	flags         int
	checkHostname bool
	commonName    bool
	min, max      TLSVersion
	list          cipherList
	alpn          []string
	groups        []tls.CurveID
	sni           SNICallback
	numTickets    int
	staple        []byte
	clock         endpoint.Clock // of connections that have no stack
	chains        []tls.Certificate
	trust         trust
	keys          []ticketKey
	keylog        io.Writer
	keylogName    string
	base          *tls.Config // of NewContextFromConfig
}

// Context is SSLContext by its Go name.
type Context = SSLContext

// SNICallback is called on a server with the name that a client asks for, "" if
// it names none. It returns the context whose certificates are shown and whose
// protocols are taken, nil for the same; whether the client is verified stays the
// first one's to say. An error refuses the client; the alert is crypto/tls's,
// internal_error.
type SNICallback func(serverName string, ctx *SSLContext) (*SSLContext, error)

// defaultList is CPython's.
const defaultList = "@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"

// defaultOptions are those that CPython switches on.
const defaultOptions = OP_ALL | OP_NO_SSLv3 | OP_CIPHER_SERVER_PREFERENCE | OP_NO_COMPRESSION | OP_ENABLE_MIDDLEBOX_COMPAT

// NewSSLContext makes a context of a PROTOCOL_*. One of SSL 2.0 or 3.0 is
// refused: crypto/tls does not speak them.
func NewSSLContext(protocol int) (*SSLContext, error) {
	c := &SSLContext{
		protocol: protocol, options: defaultOptions, flags: VERIFY_X509_TRUSTED_FIRST, commonName: true,
		min: TLSVersion_TLSv1_2, max: TLSVersion_MAXIMUM_SUPPORTED, numTickets: 2, clock: endpoint.SystemClock(),
	}
	var err error
	if c.list, err = parseCipherList(defaultList); err != nil {
		return nil, err
	}
	switch protocol {
	case PROTOCOL_TLS, PROTOCOL_TLS_SERVER:
	case PROTOCOL_TLS_CLIENT:
		c.mode, c.checkHostname = CERT_REQUIRED, true
	case PROTOCOL_TLSv1, PROTOCOL_TLSv1_1, PROTOCOL_TLSv1_2:
		c.min, c.max = TLSVersion_MINIMUM_SUPPORTED, TLSVersion_MAXIMUM_SUPPORTED
	case PROTOCOL_SSLv2, PROTOCOL_SSLv3:
		return nil, sslError("SSL", "UNSUPPORTED_PROTOCOL", fmt.Sprintf("crypto/tls does not speak SSL %d.0", protocol+2), nil)
	default:
		return nil, valueError("SSLContext", "invalid or unsupported protocol version")
	}
	return c, nil
}

// Protocol returns the PROTOCOL_* that the context was made with.
func (c *SSLContext) Protocol() int { return c.protocol }

// locked runs f under the mutex.
func (c *SSLContext) locked(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func get[T any](c *SSLContext, field *T) T {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *field
}

// Options returns the OP_* that are set.
func (c *SSLContext) Options() int64 { return get(c, &c.options) }

// SetOptions sets the OP_* to these and no others. Bits that are no option of
// this package are a ValueError.
func (c *SSLContext) SetOptions(options int64) error {
	const all = OP_ALL | OP_NO_SSLv3 | OP_NO_TLSv1 | OP_NO_TLSv1_1 | OP_NO_TLSv1_2 | OP_NO_TLSv1_3 | OP_CIPHER_SERVER_PREFERENCE |
		OP_NO_COMPRESSION | OP_NO_RENEGOTIATION | OP_NO_TICKET | OP_IGNORE_UNEXPECTED_EOF | OP_ENABLE_MIDDLEBOX_COMPAT
	if unknown := options &^ all; unknown != 0 {
		return valueError("options", fmt.Sprintf("unknown options %#x", unknown))
	}
	c.locked(func() { c.options = options })
	return nil
}

// VerifyMode returns CERT_NONE, CERT_OPTIONAL or CERT_REQUIRED.
func (c *SSLContext) VerifyMode() int { return get(c, &c.mode) }

// SetVerifyMode sets it. CERT_NONE is a ValueError while host names are checked.
func (c *SSLContext) SetVerifyMode(mode int) (err error) {
	if mode < CERT_NONE || mode > CERT_REQUIRED {
		return valueError("verify_mode", "invalid value for verify_mode")
	}
	c.locked(func() {
		if mode == CERT_NONE && c.checkHostname {
			err = valueError("verify_mode", "Cannot set verify_mode to CERT_NONE when check_hostname is enabled.")
			return
		}
		c.mode = mode
	})
	return err
}

// CheckHostname reports whether a client compares the host's name with the
// certificate.
func (c *SSLContext) CheckHostname() bool { return get(c, &c.checkHostname) }

// SetCheckHostname sets that. It makes CERT_REQUIRED of CERT_NONE.
func (c *SSLContext) SetCheckHostname(on bool) {
	c.locked(func() {
		c.checkHostname = on
		if on && c.mode == CERT_NONE {
			c.mode = CERT_REQUIRED
		}
	})
}

// HostnameChecksCommonName reports whether commonName counts where a certificate
// has no DNS name.
func (c *SSLContext) HostnameChecksCommonName() bool { return get(c, &c.commonName) }

// SetHostnameChecksCommonName sets that.
func (c *SSLContext) SetHostnameChecksCommonName(on bool) { c.locked(func() { c.commonName = on }) }

// VerifyFlags returns the VERIFY_* that are set.
func (c *SSLContext) VerifyFlags() int { return get(c, &c.flags) }

// SetVerifyFlags sets the VERIFY_* to these. VERIFY_ALLOW_PROXY_CERTS and bits
// that are no flag are a ValueError.
func (c *SSLContext) SetVerifyFlags(flags int) error {
	const all = VERIFY_CRL_CHECK_CHAIN | VERIFY_X509_STRICT | VERIFY_X509_TRUSTED_FIRST | VERIFY_X509_PARTIAL_CHAIN
	if unknown := flags &^ all; unknown != 0 {
		return valueError("verify_flags", fmt.Sprintf("flags %#x are not supported", unknown))
	}
	c.locked(func() { c.flags = flags })
	return nil
}

// MinimumVersion returns the oldest version of TLS that is spoken.
func (c *SSLContext) MinimumVersion() TLSVersion { return get(c, &c.min) }

// MaximumVersion returns the newest.
func (c *SSLContext) MaximumVersion() TLSVersion { return get(c, &c.max) }

// SetMinimumVersion sets the oldest version. On a context of one version
// (PROTOCOL_TLSv1_2) it is a ValueError.
func (c *SSLContext) SetMinimumVersion(v TLSVersion) error { return c.setVersion(v, &c.min) }

// SetMaximumVersion sets the newest.
func (c *SSLContext) SetMaximumVersion(v TLSVersion) error { return c.setVersion(v, &c.max) }

func (c *SSLContext) setVersion(v TLSVersion, field *TLSVersion) error {
	switch {
	case c.protocol >= PROTOCOL_TLSv1 && c.protocol <= PROTOCOL_TLSv1_2:
		return valueError("version", "The context's protocol doesn't support modification of highest and lowest version.")
	case v == TLSVersion_SSLv3:
		return sslError("SSL", "UNSUPPORTED_PROTOCOL", "crypto/tls does not speak SSL 3.0", nil)
	case v < TLSVersion_MINIMUM_SUPPORTED || v > TLSVersion_MAXIMUM_SUPPORTED && v < TLSVersion_TLSv1 || v > TLSVersion_TLSv1_3:
		return valueError("version", fmt.Sprintf("Unsupported TLS/SSL version %#x", int(v)))
	}
	c.locked(func() { *field = v })
	return nil
}

// versions returns the range that is left after the options.
func (c *SSLContext) versions() (low, high uint16, err error) {
	low, high = resolveVersion(c.min), resolveVersion(c.max)
	if c.protocol >= PROTOCOL_TLSv1 && c.protocol <= PROTOCOL_TLSv1_2 {
		low = uint16(tls.VersionTLS10 + c.protocol - PROTOCOL_TLSv1)
		high = low
	}
	var on []uint16
	for i, no := range [...]int64{OP_NO_TLSv1, OP_NO_TLSv1_1, OP_NO_TLSv1_2, OP_NO_TLSv1_3} {
		if v := uint16(tls.VersionTLS10 + i); v >= low && v <= high && c.options&no == 0 {
			on = append(on, v)
		}
	}
	if len(on) == 0 {
		return 0, 0, known("no protocols available", nil)
	}
	low, high = on[0], on[len(on)-1]
	if int(high-low) != len(on)-1 {
		return 0, 0, valueError("options", fmt.Sprintf("the options leave a hole between %s and %s, which crypto/tls cannot have",
			versionName(low), versionName(high)))
	}
	return low, high, nil
}

func resolveVersion(v TLSVersion) uint16 {
	switch v {
	case TLSVersion_MINIMUM_SUPPORTED:
		return tls.VersionTLS10
	case TLSVersion_MAXIMUM_SUPPORTED:
		return tls.VersionTLS13
	}
	return uint16(v)
}

// SetAlpnProtocols sets the protocols that are offered, or taken, in order of
// preference. Each has 1 to 255 bytes.
func (c *SSLContext) SetAlpnProtocols(protocols ...string) error {
	total := 0
	for _, p := range protocols {
		if len(p) == 0 || len(p) > 255 {
			return sslError("", "", "ALPN protocols must be 1 to 255 bytes long", nil)
		}
		total += 1 + len(p)
	}
	if total > 65535 {
		return sslError("", "", "ALPN protocols are too long together", nil)
	}
	c.locked(func() { c.alpn = slices.Clone(protocols) })
	return nil
}

// SetServernameCallback sets what a server asks about the name that a client
// gives; nil asks nobody.
func (c *SSLContext) SetServernameCallback(f SNICallback) { c.locked(func() { c.sni = f }) }

// SNICallback returns it.
func (c *SSLContext) SNICallback() SNICallback { return get(c, &c.sni) }

// NumTickets returns how many tickets a server is to give out in TLS 1.3.
func (c *SSLContext) NumTickets() int { return get(c, &c.numTickets) }

// SetNumTickets sets that. crypto/tls gives out one, or none for 0. A client's
// context is refused, as in CPython.
func (c *SSLContext) SetNumTickets(n int) error {
	if n < 0 {
		return valueError("num_tickets", "value must be non-negative")
	}
	if c.protocol != PROTOCOL_TLS_SERVER && c.protocol != PROTOCOL_TLS {
		return valueError("num_tickets", "SSLContext is not a server context.")
	}
	c.locked(func() { c.numTickets = n })
	return nil
}

// SecurityLevel returns the level that the list of ciphers has set, 0 to 5.
func (c *SSLContext) SecurityLevel() int { return get(c, &c.list).level }

// SetECDHCurve lets the key exchange use one group alone, by OpenSSL's name
// ("prime256v1", "secp384r1", "secp521r1", "X25519") or NIST's ("P-256").
func (c *SSLContext) SetECDHCurve(name string) error { return c.SetGroups(name) }

// SetGroups sets the groups of the key exchange, in names as SetECDHCurve takes
// and "X25519MLKEM768". crypto/tls has its own order. None is its default.
func (c *SSLContext) SetGroups(names ...string) error {
	var ids []tls.CurveID
	for _, name := range names {
		switch name {
		case "prime256v1", "P-256", "secp256r1":
			ids = append(ids, tls.CurveP256)
		case "secp384r1", "P-384":
			ids = append(ids, tls.CurveP384)
		case "secp521r1", "P-521":
			ids = append(ids, tls.CurveP521)
		case "X25519", "x25519":
			ids = append(ids, tls.X25519)
		case "X25519MLKEM768":
			ids = append(ids, tls.X25519MLKEM768)
		default:
			return valueError("set_ecdh_curve", "unknown elliptic curve name "+quote(name))
		}
	}
	c.locked(func() { c.groups = ids })
	return nil
}

// SetOCSPResponse sets the OCSP response that a server sends with its
// certificate, in DER and as it is. nil is none.
func (c *SSLContext) SetOCSPResponse(der []byte) { c.locked(func() { c.staple = slices.Clone(der) }) }

// SetClock sets the clock of connections over a [MemoryBIO], which have no
// stack. The default is the machine's.
func (c *SSLContext) SetClock(clock endpoint.Clock) { c.locked(func() { c.clock = clock }) }

// SetKeylog sets where the secrets of later connections are written, in NSS's
// format, which Wireshark reads; nil writes none. Anybody who reads it can read
// the connections.
func (c *SSLContext) SetKeylog(w io.Writer) { c.locked(func() { c.keylog, c.keylogName = w, "" }) }

// SetKeylogFilename is SetKeylog with the end of a file, which stays open as
// long as the context is used. "" writes none.
func (c *SSLContext) SetKeylogFilename(name string) error {
	if name == "" {
		c.SetKeylog(nil)
		return nil
	}
	f, err := appendFile("keylog_filename", name)
	if err != nil {
		return err
	}
	c.locked(func() { c.keylog, c.keylogName = f, name })
	return nil
}

// KeylogFilename returns the name of that file, "" for none.
func (c *SSLContext) KeylogFilename() string { return get(c, &c.keylogName) }

// ticketKey is one of the keys that tickets are sealed with.
type ticketKey struct {
	key  [32]byte
	made time.Time
}

const (
	ticketRotation = 24 * time.Hour     // after which there is a new one
	ticketLifetime = 7 * 24 * time.Hour // for which the old ones open tickets
)

// ticketKeys returns the keys of a moment, the one to seal with first. c.mu is
// held.
func (c *SSLContext) ticketKeys(now time.Time) [][32]byte {
	if len(c.keys) == 0 || now.Sub(c.keys[0].made) >= ticketRotation {
		k := ticketKey{made: now}
		rand.Read(k.key[:])
		c.keys = append([]ticketKey{k}, c.keys...)
	}
	c.keys = slices.DeleteFunc(c.keys, func(k ticketKey) bool { return now.Sub(k.made) >= ticketLifetime+ticketRotation })
	var out [][32]byte
	for _, k := range c.keys {
		out = append(out, k.key)
	}
	return out
}

// The counters of SessionStats.
const (
	statConnect = iota
	statConnectGood
	statAccept
	statAcceptGood
	statHits
)

// SessionStats are SSL_CTX_sess_number(3) and its kin. Sessions are kept by the
// clients, in tickets: Number, Misses, Timeouts, CacheFull and the counters of
// renegotiation are always 0.
type SessionStats struct {
	Number, Connect, ConnectGood, ConnectRenegotiate, Accept, AcceptGood, AcceptRenegotiate, Hits, Misses, Timeouts, CacheFull int
}

// SessionStats returns the counters of the context.
func (c *SSLContext) SessionStats() SessionStats {
	n := func(i int) int { return int(c.stats[i].Load()) }
	return SessionStats{Connect: n(statConnect), ConnectGood: n(statConnectGood), Accept: n(statAccept), AcceptGood: n(statAcceptGood), Hits: n(statHits)}
}

// CertStoreStats says how many certificates and lists were loaded.
type CertStoreStats struct{ X509, CRL, X509CA int }

// CertStoreStats counts what LoadVerifyLocations has loaded.
func (c *SSLContext) CertStoreStats() (s CertStoreStats) {
	c.locked(func() {
		s = CertStoreStats{X509: len(c.trust.certs), CRL: len(c.trust.crls)}
		for _, cert := range c.trust.certs {
			if isCA(cert) {
				s.X509CA++
			}
		}
	})
	return s
}

// isCA is X509_check_ca(3).
func isCA(c *x509.Certificate) bool {
	if c.BasicConstraintsValid {
		return c.IsCA
	}
	return c.Version < 3 && selfIssued(c)
}
