package tls

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"sync/atomic"
	"time"
)

// NewContextFromConfig makes a context of a tls.Config, which decides about
// everything: certificates, versions, suites and verification are its own. The
// settings of the context count for nothing, but the clock is the stack's where
// Config.Time is not set.
func NewContextFromConfig(cfg *tls.Config) *SSLContext {
	c, _ := NewSSLContext(PROTOCOL_TLS)
	c.base = cfg.Clone()
	return c
}

// Config returns what the context has as a tls.Config, for programs that run
// crypto/tls themselves: [tls.NewListener], http.Transport and http.Server with
// HTTP/2. serverHostname is the name that a client asks for and verifies, ""
// on a server. Sessions are not kept.
func (c *SSLContext) Config(serverHostname string) (*tls.Config, error) {
	clock := get(c, &c.clock)
	server := serverHostname == ""
	con := &connection{clock: clock, server: server, hostname: serverHostname}
	con.ctx.Store(c)
	cfg, err := c.config(con)
	if err != nil {
		return nil, err
	}
	cfg.ClientSessionCache = nil
	if c.base != nil {
		return cfg, nil
	}
	// Several connections share it: nothing of one may be kept.
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		v := con.verifier
		v.now = clock.Now()
		_, err := v.connection(&cs, con.mode)
		return err
	}
	if server {
		cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			one := &connection{clock: clock, server: true}
			one.ctx.Store(c)
			return one.forClient(hello)
		}
	}
	return cfg, nil
}

// config makes the configuration of one connection, and notes what the
// connection needs of the context.
func (c *SSLContext) config(con *connection) (*tls.Config, error) {
	if c.base != nil {
		return c.configOfBase(con), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	low, high, err := c.versions()
	if err != nil {
		return nil, err
	}
	ids := c.list.ids()
	if ids == nil {
		ids = []uint16{} // nil is crypto/tls's choice
	}
	cfg := &tls.Config{
		Time: con.clock.Now, MinVersion: low, MaxVersion: high, CipherSuites: ids, CurvePreferences: c.groups,
		NextProtos: c.alpn, KeyLogWriter: c.keylog, InsecureSkipVerify: true,
		SessionTicketsDisabled: c.options&OP_NO_TICKET != 0,
		VerifyConnection:       con.verify,
	}
	con.mode, con.ignoreEOF = c.mode, c.options&OP_IGNORE_UNEXPECTED_EOF != 0
	con.verifier = verifier{flags: c.flags, level: c.list.level, trusted: c.trust.certs, system: c.trust.system, crls: c.trust.crls, noCN: !c.commonName}
	if !con.server {
		con.verifier.usage = x509.ExtKeyUsageServerAuth
		if c.checkHostname {
			con.verifier.hostname = con.hostname
		}
		cfg.ServerName = con.hostname
		cfg.ClientSessionCache = (*sessionCache)(con)
		chains := c.chains
		cfg.GetClientCertificate = func(cri *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			ask := *cri
			ask.AcceptableCAs = nil // as OpenSSL: the server may say which it knows, and gets what there is
			for i := range chains {
				if ask.SupportsCertificate(&chains[i]) == nil {
					return &chains[i], nil
				}
			}
			return new(tls.Certificate), nil
		}
		return cfg, nil
	}
	con.verifier.usage = x509.ExtKeyUsageClientAuth
	switch c.mode {
	case CERT_OPTIONAL:
		cfg.ClientAuth = tls.RequestClientCert
	case CERT_REQUIRED:
		cfg.ClientAuth = tls.RequireAnyClientCert
	}
	cfg.SetSessionTicketKeys(c.ticketKeys(con.clock.Now()))
	c.show(cfg)
	cfg.GetConfigForClient = con.forClient
	return cfg, nil
}

func (c *SSLContext) configOfBase(con *connection) *tls.Config {
	cfg := c.base.Clone()
	if cfg.Time == nil {
		cfg.Time = con.clock.Now
	}
	if !con.server && cfg.ServerName == "" {
		cfg.ServerName = con.hostname
	}
	if cfg.ClientSessionCache == nil && !con.server {
		cfg.ClientSessionCache = (*sessionCache)(con)
	}
	con.mode = CERT_REQUIRED
	if con.server && cfg.ClientAuth < tls.VerifyClientCertIfGiven || !con.server && cfg.InsecureSkipVerify {
		con.mode = CERT_NONE
	}
	return cfg
}

// show lets a server's connection show this context's certificates. c.mu is held.
func (c *SSLContext) show(cfg *tls.Config) {
	if c.base != nil {
		cfg.Certificates, cfg.GetCertificate = c.base.Certificates, c.base.GetCertificate
		return
	}
	certs := slices.Clone(c.chains)
	for i := range certs {
		certs[i].OCSPStaple = c.staple
	}
	cfg.Certificates, cfg.GetCertificate = certs, nil
	if len(certs) > 1 {
		cfg.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			ask := *hello
			ask.ServerName = "" // which one is shown is the kind of key's question
			for i := range certs {
				if ask.SupportsCertificate(&certs[i]) == nil {
					return &certs[i], nil
				}
			}
			return &certs[0], nil
		}
	}
}

// forClient is asked with each client's hello. A callback's context decides what
// is shown and which protocols are taken, as with OpenSSL; whether the client is
// verified, versions and ciphers stay those of the first.
func (c *connection) forClient(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	ctx := c.ctx.Load()
	shown := ctx
	if sni := ctx.SNICallback(); sni != nil {
		next, err := sni(hello.ServerName, ctx)
		if err != nil {
			return nil, sslError("SSL", "CALLBACK_FAILED", "callback failed: "+err.Error(), err)
		}
		if next != nil {
			shown = next
			c.ctx.Store(next)
		}
	}
	cfg, err := ctx.config(c)
	if err != nil {
		return nil, err
	}
	if shown != ctx {
		shown.locked(func() {
			shown.show(cfg)
			cfg.NextProtos = shown.alpn
		})
	}
	cfg.GetConfigForClient = nil
	// crypto/tls refuses a client with which it has no protocol in common.
	if !slices.ContainsFunc(cfg.NextProtos, func(p string) bool { return slices.Contains(hello.SupportedProtos, p) }) {
		cfg.NextProtos = nil
	}
	list := get(ctx, &ctx.list)
	for _, s := range slices.Concat(suites13[:], list.suites) {
		if list.allowed(s) && slices.Contains(hello.CipherSuites, s.id) {
			c.shared = append(c.shared, s.cipherName())
		}
	}
	if cfg.MaxVersion >= tls.VersionTLS13 && slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {
		if ctx.NumTickets() == 0 {
			cfg.SessionTicketsDisabled = true
		}
		return cfg, nil
	}
	if ctx.Options()&OP_CIPHER_SERVER_PREFERENCE != 0 {
		if id, ok := choose(list, hello, cfg.Certificates); ok {
			cfg.CipherSuites = []uint16{id}
		}
	}
	return cfg, nil
}

// choose picks the suite of a connection up to TLS 1.2 in the list's order.
func choose(list cipherList, hello *tls.ClientHelloInfo, certs []tls.Certificate) (uint16, bool) {
	version := slices.Max(append(slices.Clone(hello.SupportedVersions), 0))
	curves := slices.ContainsFunc(hello.SupportedCurves, func(id tls.CurveID) bool {
		return id == tls.X25519 || id == tls.CurveP256 || id == tls.CurveP384 || id == tls.CurveP521
	})
	var kinds auth
	for _, c := range certs {
		if c.Leaf == nil {
			continue
		}
		switch c.Leaf.PublicKey.(type) {
		case *rsa.PublicKey:
			kinds |= authRSA
		case *ecdsa.PublicKey:
			kinds |= authECDSA
		case ed25519.PublicKey:
			if version >= tls.VersionTLS12 {
				kinds |= authECDSA
			}
		}
	}
	for _, s := range list.suites {
		if list.allowed(s) && s.auth&kinds != 0 && s.since <= version && (s.kx != kxECDHE || curves) && slices.Contains(hello.CipherSuites, s.id) {
			return s.id, true
		}
	}
	return 0, false
}

// CipherName is what cipher() and shared_ciphers() return.
type CipherName struct {
	Name     string // OpenSSL's
	Protocol string // the first version that has it
	Bits     int
}

func (s *suite) cipherName() CipherName { return CipherName{s.name, s.protocol(), s.bits} }

// SSLSession is what a client needs to go on with an earlier session:
// ssl.SSLSession. It belongs to the context that it was made with.
type SSLSession struct {
	ctx   *SSLContext
	state *tls.ClientSessionState
	ID    []byte // a name for the ticket: its first 32 bytes
	Time  time.Time

	Timeout            time.Duration // how long crypto/tls goes on with it
	TicketLifetimeHint time.Duration
	HasTicket          bool
}

// sessionCache is a connection as crypto/tls's cache of one session.
type sessionCache connection

var _ tls.ClientSessionCache = (*sessionCache)(nil)

// Get gives the session that the program asked to go on with.
func (s *sessionCache) Get(string) (*tls.ClientSessionState, bool) {
	if old := s.resume; old != nil {
		return old.state, true
	}
	return nil, false
}

// Put keeps what the server sent.
func (s *sessionCache) Put(_ string, state *tls.ClientSessionState) {
	if state == nil {
		s.session.Store(nil)
		return
	}
	ticket, _, err := state.ResumptionState()
	if err != nil {
		return
	}
	s.session.Store(&SSLSession{
		ctx: s.ctx.Load(), state: state, ID: slices.Clone(ticket[:min(len(ticket), 32)]), Time: s.clock.Now(),
		Timeout: ticketLifetime, TicketLifetimeHint: ticketLifetime, HasTicket: len(ticket) > 0,
	})
}

// count adds to a counter of the context that a connection began with.
func count(n *atomic.Int64) { n.Add(1) }
