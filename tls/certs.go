package tls

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// trust is what peers' certificates are verified with.
type trust struct {
	certs  []*x509.Certificate
	crls   []*x509.RevocationList
	system *x509.CertPool
}

// LoadCertChain loads the certificate that connections show, with those that
// lead to a root behind it, and its private key, from PEM files: keyfile "" is
// certfile again. One certificate of each kind of key is kept (RSA, ECDSA,
// Ed25519), the last.
//
// The key must be the certificate's (KEY_VALUES_MISMATCH), and both as strong as
// the security level asks. Formats: PKCS #1, PKCS #8, SEC 1, each also encrypted
// (RFC 1423; PKCS #5 with PBES2).
func (c *SSLContext) LoadCertChain(certfile, keyfile string, password Password) error {
	const op = "load_cert_chain"
	certs, err := readNamed(op, certfile)
	if err != nil {
		return err
	}
	key := certs
	if keyfile != "" {
		if key, err = readNamed(op, keyfile); err != nil {
			return err
		}
	}
	return c.LoadCertChainData(certs, key, password)
}

// LoadCertChainData is LoadCertChain with the PEM text itself; key nil is in
// chain.
func (c *SSLContext) LoadCertChainData(chain, key []byte, password Password) error {
	if key == nil {
		key = chain
	}
	cert := tls.Certificate{}
	for rest := chain; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if isCertificate(block.Type) {
			cert.Certificate = append(cert.Certificate, block.Bytes)
		}
	}
	if len(cert.Certificate) == 0 {
		return sslError("SSL", "", "PEM lib", errors.New("no certificate found"))
	}
	var err error
	if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
		return sslError("SSL", "", "PEM lib", unknownAlgorithm(err))
	}
	if cert.Leaf.PublicKey == nil {
		return sslError("SSL", "UNKNOWN_CERTIFICATE_TYPE", "unknown algorithm of the certificate's key", ErrUnknownAlgorithm)
	}
	level := c.SecurityLevel()
	if bits(cert.Leaf.PublicKey) < least(level) {
		return known("ee key too small", nil)
	}
	if cert.PrivateKey, err = parseKey(key, password); err != nil {
		return err
	}
	if !samePublic(cert.PrivateKey, cert.Leaf) {
		return sslError("X509", "KEY_VALUES_MISMATCH", "key values mismatch", nil)
	}
	c.addCertificate(cert)
	return nil
}

func (c *SSLContext) addCertificate(cert tls.Certificate) {
	c.locked(func() {
		c.chains = append(slices.DeleteFunc(slices.Clone(c.chains), func(old tls.Certificate) bool {
			return old.Leaf != nil && cert.Leaf != nil && old.Leaf.PublicKeyAlgorithm == cert.Leaf.PublicKeyAlgorithm
		}), cert)
	})
}

func isCertificate(kind string) bool {
	return kind == "CERTIFICATE" || kind == "X509 CERTIFICATE"
}

// unknownAlgorithm lets crypto/x509's error about an algorithm be found as
// ErrUnknownAlgorithm.
func unknownAlgorithm(err error) error {
	text := err.Error()
	if strings.Contains(text, "unsupported") || strings.Contains(text, "unknown") {
		return errors.Join(ErrUnknownAlgorithm, err)
	}
	return err
}

// LoadVerifyLocations loads the certificates of authorities that peers'
// certificates are verified with, and revocation lists: from a PEM file, from
// all files of a folder (names that c_rehash(1) gives, or plain ones that end in
// .pem, .crt, .cer or .crl), and from data, PEM text or certificates in DER one
// after the other. "" and nil are left out; not all three can be.
func (c *SSLContext) LoadVerifyLocations(cafile, capath string, cadata []byte) error {
	const op = "load_verify_locations"
	if cafile == "" && capath == "" && cadata == nil {
		return valueError(op, "cafile, capath and cadata cannot be all omitted")
	}
	var add trust
	if cafile != "" {
		data, err := readNamed(op, cafile)
		if err != nil {
			return err
		}
		if n, err := add.pem(data); err != nil {
			return err
		} else if n == 0 {
			return sslError("X509", "NO_CERTIFICATE_OR_CRL_FOUND", "no certificate or crl found", nil)
		}
	}
	if capath != "" {
		files, err := readFolder(op, capath)
		if err != nil {
			return err
		}
		for _, data := range files {
			_, _ = add.pem(data) // OpenSSL too passes over what it cannot use
		}
	}
	if cadata != nil {
		if err := add.data(cadata); err != nil {
			return err
		}
	}
	c.locked(func() {
		t := trust{certs: slices.Clone(c.trust.certs), crls: slices.Clone(c.trust.crls), system: c.trust.system}
		for _, cert := range add.certs {
			if !slices.ContainsFunc(t.certs, cert.Equal) {
				t.certs = append(t.certs, cert)
			}
		}
		t.crls = append(t.crls, add.crls...)
		c.trust = t
	})
	return nil
}

// pem adds what a PEM text has and returns how many things that were.
func (t *trust) pem(data []byte) (n int, err error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return n, nil
		}
		switch {
		case isCertificate(block.Type):
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return n, sslError("X509", "", "not a certificate that crypto/x509 reads", unknownAlgorithm(err))
			}
			t.certs = append(t.certs, cert)
		case block.Type == "X509 CRL":
			list, err := x509.ParseRevocationList(block.Bytes)
			if err != nil {
				return n, sslError("X509", "", "not a revocation list that crypto/x509 reads", unknownAlgorithm(err))
			}
			t.crls = append(t.crls, list)
		default:
			continue
		}
		n++
	}
}

func (t *trust) data(data []byte) error {
	if len(data) == 0 {
		return valueError("load_verify_locations", "Empty certificate data")
	}
	if bytes.Contains(data, []byte("-----BEGIN")) {
		n, err := t.pem(data)
		if err == nil && n == 0 {
			err = sslError("PEM", "NO_START_LINE", "no start line: cadata does not contain a certificate", nil)
		}
		return err
	}
	certs, err := x509.ParseCertificates(data)
	if err != nil {
		return sslError("ASN1", "NOT_ENOUGH_DATA", "not enough data: cadata does not contain a certificate", unknownAlgorithm(err))
	}
	t.certs = append(t.certs, certs...)
	return nil
}

// SetDefaultVerifyPaths trusts the authorities that the host trusts, by
// crypto/x509's way of finding them. It reads the host's store, which nothing
// else in this package does.
func (c *SSLContext) SetDefaultVerifyPaths() error {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return sslError("X509", "", "the host's store of authorities", err)
	}
	c.locked(func() { c.trust.system = pool })
	return nil
}

// LoadDefaultCerts is SetDefaultVerifyPaths.
func (c *SSLContext) LoadDefaultCerts() error { return c.SetDefaultVerifyPaths() }

// CreateDefaultContext makes a context with CPython's settings for a client
// (server false), which verifies with the authorities that the host trusts if
// none are given here, or for a server. The arguments are those of
// LoadVerifyLocations.
func CreateDefaultContext(server bool, cafile, capath string, cadata []byte) (*SSLContext, error) {
	protocol := PROTOCOL_TLS_CLIENT
	if server {
		protocol = PROTOCOL_TLS_SERVER
	}
	c, err := NewSSLContext(protocol)
	if err != nil {
		return nil, err
	}
	switch {
	case cafile != "" || capath != "" || cadata != nil:
		err = c.LoadVerifyLocations(cafile, capath, cadata)
	case !server:
		err = c.SetDefaultVerifyPaths()
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// GetCACerts returns the authorities that were loaded, as getpeercert would. The
// host's store is not among them.
func (c *SSLContext) GetCACerts() (list []*Certificate, err error) {
	for _, cert := range get(c, &c.trust).certs {
		if !isCA(cert) {
			continue
		}
		d, err := describe(cert)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// GetCACertsBinary returns them in DER.
func (c *SSLContext) GetCACertsBinary() (list [][]byte) {
	for _, cert := range get(c, &c.trust).certs {
		if isCA(cert) {
			list = append(list, cert.Raw)
		}
	}
	return list
}

// SetCiphers sets the suites of TLS 1.2 and earlier by a list in OpenSSL's
// format (ciphers(1)); those of TLS 1.3 are always there. Names that nobody
// knows are skipped; a list of which nothing remains is an error. A client
// offers the suites in crypto/tls's order; a server chooses in the list's while
// OP_CIPHER_SERVER_PREFERENCE is on.
func (c *SSLContext) SetCiphers(list string) error {
	l, err := parseCipherList(list)
	if err != nil {
		return &SSLError{Code: SSL_ERROR_SSL, Text: "No cipher can be selected.", Err: fmt.Errorf("ciphers %s: %w", quote(list), err)}
	}
	if len(l.suites) == 0 {
		return &SSLError{Code: SSL_ERROR_SSL, Text: "No cipher can be selected.", Err: fmt.Errorf("ciphers %s: nothing remains that crypto/tls has", quote(list))}
	}
	c.locked(func() { c.list = l })
	return nil
}

// CipherInfo is one of get_ciphers's dictionaries.
type CipherInfo struct {
	ID           int
	Name         string
	Protocol     string
	Description  string
	StrengthBits int
	AlgBits      int
	AEAD         bool
	Symmetric    string
	Digest       string // "" where Python has None
	Kea          string
	Auth         string
}

// GetCiphers returns the suites that are on, those of TLS 1.3 first.
func (c *SSLContext) GetCiphers() (list []CipherInfo) {
	l := get(c, &c.list)
	for _, s := range suites13 {
		if l.allowed(s) {
			list = append(list, s.info())
		}
	}
	for _, s := range l.suites {
		if l.allowed(s) {
			list = append(list, s.info())
		}
	}
	return list
}

// info describes a suite in SSL_CIPHER_description(3)'s words.
func (s *suite) info() CipherInfo {
	i := CipherInfo{ID: 0x03000000 | int(s.id), Name: s.name, Protocol: s.protocol(), StrengthBits: s.bits, AlgBits: s.bits, AEAD: s.mac == macAEAD}
	kxWord, authWord, encWord, macWord := "any", "any", "", "AEAD"
	i.Kea, i.Auth = "kx-any", "auth-any"
	switch s.kx {
	case kxRSA:
		kxWord, i.Kea = "RSA", "kx-rsa"
	case kxECDHE:
		kxWord, i.Kea = "ECDH", "kx-ecdhe"
	}
	switch s.auth {
	case authRSA:
		authWord, i.Auth = "RSA", "auth-rsa"
	case authECDSA:
		authWord, i.Auth = "ECDSA", "auth-ecdsa"
	}
	switch s.enc {
	case encAES128, encAES256:
		encWord, i.Symmetric = fmt.Sprintf("AES(%d)", s.bits), fmt.Sprintf("aes-%d-cbc", s.bits)
	case encAES128GCM, encAES256GCM:
		encWord, i.Symmetric = fmt.Sprintf("AESGCM(%d)", s.bits), fmt.Sprintf("aes-%d-gcm", s.bits)
	case encChaCha20:
		encWord, i.Symmetric = "CHACHA20/POLY1305(256)", "chacha20-poly1305"
	}
	switch s.mac {
	case macSHA1:
		macWord, i.Digest = "SHA1", "sha1"
	case macSHA256:
		macWord, i.Digest = "SHA256", "sha256"
	}
	i.Description = fmt.Sprintf("%-30s %-7s Kx=%-8s Au=%-5s Enc=%-22s Mac=%-4s", s.name, versionName(s.since), kxWord, authWord, encWord, macWord)
	return i
}

// protocol is SSL_CIPHER_get_version(3).
func (s *suite) protocol() string {
	if s.since == tls.VersionTLS10 {
		return "TLSv1.0"
	}
	return versionName(s.since)
}

// suiteOf finds a suite by its number.
func suiteOf(id uint16) *suite {
	for i := range suites13 {
		if suites13[i].id == id {
			return &suites13[i]
		}
	}
	for i := range suites {
		if suites[i].id == id {
			return &suites[i]
		}
	}
	return nil
}
