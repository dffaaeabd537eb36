package tls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Verification is done here and not by crypto/tls (which is told
// InsecureSkipVerify and calls VerifyConnection, before any application data):
// OpenSSL has one number and one text for each thing that can be wrong, looks
// for them in a known order, and has security levels and revocation lists.
//
// crypto/x509 decides about signatures and chains. A chain that it found is
// looked through once more, in OpenSSL's order, for what it does not know.
// Where it found none, a chain is put together by names alone, as OpenSSL does,
// and looked through to say why.

// finding is a fault of a chain.
type finding struct {
	code, depth int
	message     string // "" for verifyText's
	cause       error
}

func (f *finding) err() error {
	message := f.message
	if message == "" {
		message = verifyText(f.code)
	}
	return verifyError(f.code, f.depth, message, f.cause)
}

// verifier is what a context says about verification, as it was when the
// connection began.
type verifier struct {
	flags    int
	level    int // the security level
	trusted  []*x509.Certificate
	system   *x509.CertPool // the host's own, nil unless asked for
	crls     []*x509.RevocationList
	usage    x509.ExtKeyUsage // what the peer's certificate must be for
	hostname string           // "" for any
	noCN     bool             // commonName is no name of a host
	now      time.Time
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// verify returns the chain of a peer's certificates, its own first.
func (v *verifier) verify(certs []*x509.Certificate) ([]*x509.Certificate, error) {
	leaf := certs[0]
	opts := x509.VerifyOptions{Roots: v.system, Intermediates: x509.NewCertPool(), CurrentTime: v.now, KeyUsages: []x509.ExtKeyUsage{v.usage}}
	if opts.Roots == nil {
		opts.Roots = x509.NewCertPool()
	} else {
		opts.Roots = opts.Roots.Clone()
	}
	for _, c := range v.trusted {
		if selfIssued(c) || v.flags&VERIFY_X509_PARTIAL_CHAIN != 0 {
			opts.Roots.AddCert(c)
		}
		opts.Intermediates.AddCert(c)
	}
	for _, c := range certs[1:] {
		opts.Intermediates.AddCert(c)
	}
	chains, err := leaf.Verify(opts)
	if err != nil {
		return nil, v.explain(certs, err).err()
	}
	var first *finding
	for _, chain := range chains {
		found := v.examine(chain)
		if found == nil {
			return chain, nil
		}
		if first == nil {
			first = found
		}
	}
	return nil, first.err()
}

// explain says why crypto/x509 found no chain.
func (v *verifier) explain(certs []*x509.Certificate, err error) *finding {
	chain, found := v.byName(certs)
	if found == nil {
		found = v.examine(chain)
	}
	if found != nil {
		found.cause = errors.Join(found.cause, err)
		return found
	}
	return ofGo(err, chain, v.now)
}

// ofGo finds OpenSSL's number for an error of crypto/x509 alone.
func ofGo(err error, chain []*x509.Certificate, now time.Time) *finding {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		f := &finding{code: verifyUnspecified, cause: err}
		for i, c := range chain {
			if invalid.Cert != nil && c.Equal(invalid.Cert) {
				f.depth = i
			}
		}
		switch invalid.Reason {
		case x509.NotAuthorizedToSign:
			f.code = verifyNotCA
		case x509.Expired:
			f.code = verifyExpired
			if invalid.Cert != nil && now.Before(invalid.Cert.NotBefore) {
				f.code = verifyNotYet
			}
		case x509.CANotAuthorizedForThisName:
			f.code, f.depth = verifyNotPermitted, 0
			if strings.Contains(invalid.Detail, "excluded") {
				f.code = verifyExcluded
			}
		case x509.TooManyIntermediates:
			f.code = verifyPathLength
		case x509.IncompatibleUsage, x509.CANotAuthorizedForExtKeyUsage:
			f.code = verifyPurpose
		}
		return f
	}
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		return &finding{code: verifyNoLocalIssuer, cause: err}
	case errors.As(err, &name):
		return &finding{code: verifyHostname, cause: err}
	case errors.As(err, &x509.UnhandledCriticalExtension{}):
		return &finding{code: verifyCritical, cause: err}
	}
	return &finding{code: verifyUnspecified, message: strings.TrimPrefix(err.Error(), "x509: "), cause: err}
}

// byName puts a chain together as far as names and key identifiers go.
func (v *verifier) byName(certs []*x509.Certificate) ([]*x509.Certificate, *finding) {
	chain := []*x509.Certificate{certs[0]}
	for {
		last := chain[len(chain)-1]
		trusted := slices.ContainsFunc(v.trusted, last.Equal)
		if trusted && (selfIssued(last) || v.flags&VERIFY_X509_PARTIAL_CHAIN != 0) {
			return chain, nil
		}
		if selfIssued(last) {
			// One of the same name may be trusted: a root that was made anew.
			if root := issuerIn(v.trusted, last); root != nil && !slices.ContainsFunc(chain, root.Equal) {
				return append(chain[:len(chain)-1], root), nil
			}
			if len(chain) == 1 {
				return chain, &finding{code: verifySelfSigned}
			}
			return chain, &finding{code: verifySelfSignedInChain, depth: len(chain) - 1}
		}
		next := issuerIn(v.trusted, last)
		if next == nil {
			next = issuerIn(certs[1:], last)
		}
		switch {
		case next == nil || slices.ContainsFunc(chain, next.Equal):
			code := verifyNoLocalIssuer
			if trusted {
				code = verifyNoIssuer
			}
			return chain, &finding{code: code, depth: len(chain) - 1}
		case len(chain) > 100:
			return chain, &finding{code: verifyTooLong, depth: len(chain) - 1}
		}
		chain = append(chain, next)
	}
}

// issuerIn finds who may have signed a certificate.
func issuerIn(list []*x509.Certificate, c *x509.Certificate) (best *x509.Certificate) {
	for _, i := range list {
		switch {
		case !bytes.Equal(i.RawSubject, c.RawIssuer):
		case len(c.AuthorityKeyId) > 0 && len(i.SubjectKeyId) > 0 && !bytes.Equal(c.AuthorityKeyId, i.SubjectKeyId):
		case best == nil || i.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil:
			best = i
		}
	}
	return best
}

// examine looks for the first fault of a chain in OpenSSL's order: extensions,
// strength, the host's name, revocation, then signatures and dates from the
// root down.
func (v *verifier) examine(chain []*x509.Certificate) *finding {
	for _, check := range [...]func([]*x509.Certificate) *finding{v.extensions, v.strength, v.name, v.revocation, v.signatures} {
		if f := check(chain); f != nil {
			return f
		}
	}
	if !selfIssued(chain[len(chain)-1]) && v.system == nil && v.flags&VERIFY_X509_PARTIAL_CHAIN == 0 {
		return &finding{code: verifyNoIssuer, depth: len(chain) - 1}
	}
	return nil
}

func (v *verifier) extensions(chain []*x509.Certificate) *finding {
	below := 0 // certificates below that are not self-issued
	for i, c := range chain {
		if len(c.UnhandledCriticalExtensions) > 0 {
			return &finding{code: verifyCritical, depth: i}
		}
		if i > 0 {
			old := c.Version < 3 && selfIssued(c) // from before there were extensions
			if !old && (!c.BasicConstraintsValid || !c.IsCA || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0) {
				return &finding{code: verifyNotCA, depth: i}
			}
			if v.flags&VERIFY_X509_STRICT != 0 && !old && c.KeyUsage == 0 {
				return &finding{code: verifyNoKeyUsage, depth: i}
			}
		}
		if v.flags&VERIFY_X509_STRICT != 0 && c.Version >= 3 && !selfIssued(c) && len(c.AuthorityKeyId) == 0 {
			return &finding{code: verifyNoKeyIdentifier, depth: i}
		}
		if !v.serves(c) {
			return &finding{code: verifyPurpose, depth: i}
		}
		if i > 0 && c.BasicConstraintsValid && (c.MaxPathLen > 0 || c.MaxPathLenZero) && below > c.MaxPathLen {
			return &finding{code: verifyPathLength, depth: i}
		}
		if i > 0 && !selfIssued(c) {
			below++
		}
	}
	return nil
}

// serves reports whether a certificate may be used for the purpose.
func (v *verifier) serves(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.ContainsFunc(c.ExtKeyUsage, func(u x509.ExtKeyUsage) bool {
		return u == v.usage || u == x509.ExtKeyUsageAny ||
			v.usage == x509.ExtKeyUsageServerAuth && (u == x509.ExtKeyUsageNetscapeServerGatedCrypto || u == x509.ExtKeyUsageMicrosoftServerGatedCrypto)
	})
}

// bits is the strength of a key by SP 800-57 (part 1, section 5.6.1).
func bits(public any) int {
	size := 0
	switch k := public.(type) {
	case *rsa.PublicKey:
		size = k.N.BitLen()
	case *ecdsa.PublicKey:
		return k.Params().BitSize / 2
	case ed25519.PublicKey:
		return 128
	}
	for _, step := range [...]struct{ size, bits int }{{15360, 256}, {7680, 192}, {3072, 128}, {2048, 112}, {1024, 80}} {
		if size >= step.size {
			return step.bits
		}
	}
	return 0
}

// least is how many bits a security level asks for.
func least(level int) int { return [...]int{0, 80, 112, 128, 192, 256}[level] }

func (v *verifier) strength(chain []*x509.Certificate) *finding {
	for i, c := range chain {
		if c.PublicKey != nil && bits(c.PublicKey) < least(v.level) {
			if i == 0 {
				return &finding{code: verifyWeakKey}
			}
			return &finding{code: verifyWeakCAKey, depth: i}
		}
		if selfIssued(c) && i == len(chain)-1 {
			continue // nobody relies on its signature
		}
		switch c.SignatureAlgorithm {
		case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
			if v.level > 0 {
				return &finding{code: verifyWeakDigest, depth: i}
			}
		case x509.UnknownSignatureAlgorithm:
			return &finding{code: verifyUnknownAlgorithm, depth: i, cause: ErrUnknownAlgorithm}
		}
	}
	return nil
}

// name compares the host with the certificate as X509_check_host(3) does.
func (v *verifier) name(chain []*x509.Certificate) *finding {
	if v.hostname == "" {
		return nil
	}
	leaf := chain[0]
	if ip, err := netip.ParseAddr(v.hostname); err == nil {
		for _, a := range leaf.IPAddresses {
			if b, ok := netip.AddrFromSlice(a); ok && b.Unmap() == ip.Unmap() {
				return nil
			}
		}
		return &finding{code: verifyAddress, message: "IP address mismatch, certificate is not valid for '" + v.hostname + "'."}
	}
	wrong := &finding{code: verifyHostname, message: "Hostname mismatch, certificate is not valid for '" + v.hostname + "'."}
	names := leaf.DNSNames
	if len(names) == 0 && !v.noCN {
		if c, err := describe(leaf); err == nil {
			for _, rdn := range c.Subject {
				for _, pair := range rdn {
					if pair.Name == "commonName" {
						names = append(names, pair.Value)
					}
				}
			}
		}
	}
	for _, n := range names {
		// A wildcard stands below a domain of two labels at least.
		if strings.Contains(n, "*") && strings.Count(n, ".") < 2 {
			continue
		}
		if ok, err := dnsNameMatches(n, strings.TrimSuffix(v.hostname, ".")); ok && err == nil {
			return nil
		}
	}
	return wrong
}

func (v *verifier) revocation(chain []*x509.Certificate) *finding {
	if v.flags&VERIFY_CRL_CHECK_LEAF == 0 {
		return nil
	}
	if v.flags&VERIFY_CRL_CHECK_CHAIN != VERIFY_CRL_CHECK_CHAIN {
		chain = chain[:min(len(chain), 2)]
	}
	for i, c := range chain {
		if i == 1 && v.flags&VERIFY_CRL_CHECK_CHAIN != VERIFY_CRL_CHECK_CHAIN {
			break
		}
		issuer := c
		if i+1 < len(chain) {
			issuer = chain[i+1]
		}
		if f := v.revoked(c, issuer); f != nil {
			f.depth = i
			return f
		}
	}
	return nil
}

// revoked looks a certificate up in the newest list of its issuer.
func (v *verifier) revoked(c, issuer *x509.Certificate) *finding {
	var list *x509.RevocationList
	for _, l := range v.crls {
		if bytes.Equal(l.RawIssuer, c.RawIssuer) && (list == nil || l.ThisUpdate.After(list.ThisUpdate)) {
			list = l
		}
	}
	switch {
	case list == nil:
		return &finding{code: verifyNoCRL}
	case issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCRLSign == 0:
		return &finding{code: verifyNoCRLSign}
	case list.ThisUpdate.After(v.now):
		return &finding{code: verifyCRLNotYet}
	case !list.NextUpdate.IsZero() && list.NextUpdate.Before(v.now):
		return &finding{code: verifyCRLExpired}
	}
	if err := list.CheckSignatureFrom(issuer); err != nil {
		return &finding{code: verifyCRLSignature, cause: err}
	}
	for _, e := range list.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(c.SerialNumber) == 0 {
			return &finding{code: verifyRevoked}
		}
	}
	return nil
}

func (v *verifier) signatures(chain []*x509.Certificate) *finding {
	for i := len(chain) - 1; i >= 0; i-- {
		c := chain[i]
		if i+1 < len(chain) {
			err := chain[i+1].CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature)
			if weak := x509.InsecureAlgorithmError(0); err != nil && !errors.As(err, &weak) {
				return &finding{code: verifySignature, depth: i, cause: err}
			}
		}
		switch {
		case v.now.Before(c.NotBefore):
			return &finding{code: verifyNotYet, depth: i}
		case v.now.After(c.NotAfter):
			return &finding{code: verifyExpired, depth: i}
		}
	}
	return nil
}

// connection is what crypto/tls calls at the end of a handshake.
func (v *verifier) connection(cs *tls.ConnectionState, mode int) ([]*x509.Certificate, error) {
	if mode == CERT_NONE || len(cs.PeerCertificates) == 0 {
		return nil, nil // a server that wants one has been told so by ClientAuth
	}
	return v.verify(cs.PeerCertificates)
}
