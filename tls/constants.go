package tls

import (
	"crypto/tls"
	"runtime"
	"strconv"
	"strings"
)

// Numbers are those of CPython 3.11 over OpenSSL 3.0.

// Protocols of an [SSLContext].
const (
	PROTOCOL_SSLv2      = 0 // exists; a context of it cannot be made
	PROTOCOL_SSLv3      = 1 // exists; a context of it cannot be made
	PROTOCOL_SSLv23     = 2 // the name that PROTOCOL_TLS had
	PROTOCOL_TLS        = 2 // what both ends have in common, TLS 1.2 or later unless MinimumVersion says otherwise
	PROTOCOL_TLSv1      = 3
	PROTOCOL_TLSv1_1    = 4
	PROTOCOL_TLSv1_2    = 5
	PROTOCOL_TLS_CLIENT = 16 // PROTOCOL_TLS for clients, that verify
	PROTOCOL_TLS_SERVER = 17 // PROTOCOL_TLS for servers
)

// Whether the peer's certificate is verified, and must be there.
const (
	CERT_NONE     = 0
	CERT_OPTIONAL = 1 // on a server: verified if there is one; on a client the same as CERT_REQUIRED
	CERT_REQUIRED = 2
)

// Options of an [SSLContext]. Each says what it does here.
const (
	OP_ALL                      = 0x80000050 // no effect: work-arounds of OpenSSL
	OP_NO_SSLv2                 = 0          // no effect: crypto/tls has no SSL 2.0
	OP_NO_SSLv3                 = 0x02000000 // no effect: crypto/tls has no SSL 3.0
	OP_NO_TLSv1                 = 0x04000000 // effective
	OP_NO_TLSv1_1               = 0x10000000 // effective
	OP_NO_TLSv1_2               = 0x08000000 // effective
	OP_NO_TLSv1_3               = 0x20000000 // effective
	OP_CIPHER_SERVER_PREFERENCE = 0x00400000 // effective up to TLS 1.2: the list's order chooses, not crypto/tls's
	OP_SINGLE_DH_USE            = 0          // no effect: there is no DH
	OP_SINGLE_ECDH_USE          = 0          // no effect: always so
	OP_NO_COMPRESSION           = 0x00020000 // always so
	OP_NO_RENEGOTIATION         = 0x40000000 // always so
	OP_NO_TICKET                = 0x00004000 // effective: no session tickets
	OP_IGNORE_UNEXPECTED_EOF    = 0x00000080 // effective: a stream that ends without close_notify has ended
	OP_ENABLE_MIDDLEBOX_COMPAT  = 0x00100000 // always so
)

// Flags of the verification, [SSLContext.SetVerifyFlags].
const (
	VERIFY_DEFAULT            = 0
	VERIFY_CRL_CHECK_LEAF     = 0x4     // the peer's own certificate is looked up in the loaded revocation lists
	VERIFY_CRL_CHECK_CHAIN    = 0xc     // all of the chain is
	VERIFY_X509_STRICT        = 0x20    // CA certificates need a key usage, and key identifiers
	VERIFY_ALLOW_PROXY_CERTS  = 0x40    // refused: crypto/x509 has no proxy certificates
	VERIFY_X509_TRUSTED_FIRST = 0x8000  // always so
	VERIFY_X509_PARTIAL_CHAIN = 0x80000 // any certificate that was loaded is an end of the chain, not self-signed ones alone
)

// TLSVersion is a version of TLS, or one of the two words for "as far as it
// goes": ssl.TLSVersion.
type TLSVersion int

const (
	TLSVersion_MINIMUM_SUPPORTED TLSVersion = -2 // TLS 1.0
	TLSVersion_MAXIMUM_SUPPORTED TLSVersion = -1 // TLS 1.3
	TLSVersion_SSLv3             TLSVersion = 0x300
	TLSVersion_TLSv1             TLSVersion = 0x301
	TLSVersion_TLSv1_1           TLSVersion = 0x302
	TLSVersion_TLSv1_2           TLSVersion = 0x303
	TLSVersion_TLSv1_3           TLSVersion = 0x304
)

// What crypto/tls can do.
const (
	HAS_SNI                     = true
	HAS_ECDH                    = true
	HAS_ALPN                    = true
	HAS_NPN                     = false
	HAS_SSLv2                   = false
	HAS_SSLv3                   = false
	HAS_TLSv1                   = true
	HAS_TLSv1_1                 = true
	HAS_TLSv1_2                 = true
	HAS_TLSv1_3                 = true
	HAS_NEVER_CHECK_COMMON_NAME = true
	HAS_PHA                     = false // authentication after the handshake
	HAS_PSK                     = false
)

// The two bindings that [SSLSocket.GetChannelBinding] knows.
const (
	channelUnique   = "tls-unique"
	channelExporter = "tls-exporter"
)

// The library that does the cryptography: Go's crypto/tls, by the version of Go.
// It is not OpenSSL, and does not say that it is.
var (
	OPENSSL_VERSION        = "Go crypto/tls " + strings.TrimPrefix(runtime.Version(), "go")
	OPENSSL_VERSION_INFO   = versionInfo(runtime.Version()) // major, minor, fix, patch 0, status 15 (a release; 0 for anything else)
	OPENSSL_VERSION_NUMBER = versionNumber(versionInfo(runtime.Version()))
)

// versionInfo reads "go1.26.8".
func versionInfo(text string) (info [5]int) {
	text, _, _ = strings.Cut(text, " ")
	text, ok := strings.CutPrefix(text, "go")
	for i, part := range strings.SplitN(text, ".", 3) {
		n, err := strconv.Atoi(part)
		if err != nil || n > 255 {
			return info // go1.27rc1, or a version that is being made
		}
		info[i] = n
	}
	if ok {
		info[4] = 15
	}
	return info
}

// versionNumber is 0xMNNFFPPS, as OPENSSL_VERSION_NUMBER(3) had it up to 1.1.1.
func versionNumber(info [5]int) int {
	return info[0]<<28 | info[1]<<20 | info[2]<<12 | info[3]<<4 | info[4]
}

// versionName is what version() and cipher() call a version.
func versionName(version uint16) string {
	switch version {
	case versionSSL30:
		return "SSLv3"
	case tls.VersionTLS10:
		return "TLSv1"
	case tls.VersionTLS11:
		return "TLSv1.1"
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return ""
}
