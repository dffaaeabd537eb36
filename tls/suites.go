package tls

import "crypto/tls"

// A suite is a cipher suite of TLS 1.2 and earlier that crypto/tls can do, with
// the properties by which OpenSSL's lists select it.
type suite struct {
	id       uint16
	name     string // OpenSSL's
	kx       kx
	auth     auth
	enc      enc
	mac      mac
	bits     int    // strength of the encryption
	since    uint16 // the first version of TLS that has it; 0x0300 is SSL 3.0
	strength strength
	standard string // IANA's name
}

// The properties are sets, so that groups such as AES and combinations such as
// kECDHE+AES can be written as unions and intersections. A bit that no suite here has
// stands for what crypto/tls lacks: such a group is known, and empty.
type (
	kx   uint16
	auth uint16
	enc  uint32
	mac  uint16

	strength uint16
)

const (
	strengthHigh strength = 1 << iota
	strengthFIPS
	strengthLow
	strengthMedium
)

const (
	kxRSA kx = 1 << iota
	kxECDHE
	kxDHE
	kxOther // PSK, SRP
)

const (
	authRSA auth = 1 << iota
	authECDSA
	authNone
	authOther // DSS, PSK, SRP
)

const (
	encAES128 enc = 1 << iota
	encAES256
	encAES128GCM
	encAES256GCM
	encChaCha20
	encNone
	encCBCOther // Camellia, 3DES
	encOther    // CCM, ARIA
)

const (
	macSHA1 mac = 1 << iota
	macSHA256
	macAEAD
	macOther // MD5, SHA384
)

// suites are in OpenSSL's order of preference, which is that of ALL.
var suites = [...]suite{
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384", kxECDHE, authECDSA, encAES256GCM, macAEAD, 256, tls.VersionTLS12, strengthHigh | strengthFIPS, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384", kxECDHE, authRSA, encAES256GCM, macAEAD, 256, tls.VersionTLS12, strengthHigh | strengthFIPS, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
	{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305", kxECDHE, authECDSA, encChaCha20, macAEAD, 256, tls.VersionTLS12, strengthHigh, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
	{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305", kxECDHE, authRSA, encChaCha20, macAEAD, 256, tls.VersionTLS12, strengthHigh, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256", kxECDHE, authECDSA, encAES128GCM, macAEAD, 128, tls.VersionTLS12, strengthHigh | strengthFIPS, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256", kxECDHE, authRSA, encAES128GCM, macAEAD, 128, tls.VersionTLS12, strengthHigh | strengthFIPS, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, "ECDHE-ECDSA-AES128-SHA256", kxECDHE, authECDSA, encAES128, macSHA256, 128, tls.VersionTLS12, strengthHigh | strengthFIPS, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, "ECDHE-RSA-AES128-SHA256", kxECDHE, authRSA, encAES128, macSHA256, 128, tls.VersionTLS12, strengthHigh | strengthFIPS, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA", kxECDHE, authECDSA, encAES256, macSHA1, 256, tls.VersionTLS10, strengthHigh | strengthFIPS, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA", kxECDHE, authRSA, encAES256, macSHA1, 256, tls.VersionTLS10, strengthHigh | strengthFIPS, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA", kxECDHE, authECDSA, encAES128, macSHA1, 128, tls.VersionTLS10, strengthHigh | strengthFIPS, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA", kxECDHE, authRSA, encAES128, macSHA1, 128, tls.VersionTLS10, strengthHigh | strengthFIPS, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"},
	{tls.TLS_RSA_WITH_AES_256_GCM_SHA384, "AES256-GCM-SHA384", kxRSA, authRSA, encAES256GCM, macAEAD, 256, tls.VersionTLS12, strengthHigh | strengthFIPS, "TLS_RSA_WITH_AES_256_GCM_SHA384"},
	{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, "AES128-GCM-SHA256", kxRSA, authRSA, encAES128GCM, macAEAD, 128, tls.VersionTLS12, strengthHigh | strengthFIPS, "TLS_RSA_WITH_AES_128_GCM_SHA256"},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA256, "AES128-SHA256", kxRSA, authRSA, encAES128, macSHA256, 128, tls.VersionTLS12, strengthHigh | strengthFIPS, "TLS_RSA_WITH_AES_128_CBC_SHA256"},
	{tls.TLS_RSA_WITH_AES_256_CBC_SHA, "AES256-SHA", kxRSA, authRSA, encAES256, macSHA1, 256, versionSSL30, strengthHigh | strengthFIPS, "TLS_RSA_WITH_AES_256_CBC_SHA"},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA, "AES128-SHA", kxRSA, authRSA, encAES128, macSHA1, 128, versionSSL30, strengthHigh | strengthFIPS, "TLS_RSA_WITH_AES_128_CBC_SHA"},
}

// versionSSL30 is the version of the oldest suites; crypto/tls does not speak
// it.
const versionSSL30 = 0x0300

// suites13 are those of TLS 1.3, in OpenSSL's order. No list changes them.
var suites13 = [...]suite{
	{id: tls.TLS_AES_256_GCM_SHA384, name: "TLS_AES_256_GCM_SHA384", enc: encAES256GCM, mac: macAEAD, bits: 256, since: tls.VersionTLS13, standard: "TLS_AES_256_GCM_SHA384"},
	{id: tls.TLS_CHACHA20_POLY1305_SHA256, name: "TLS_CHACHA20_POLY1305_SHA256", enc: encChaCha20, mac: macAEAD, bits: 256, since: tls.VersionTLS13, standard: "TLS_CHACHA20_POLY1305_SHA256"},
	{id: tls.TLS_AES_128_GCM_SHA256, name: "TLS_AES_128_GCM_SHA256", enc: encAES128GCM, mac: macAEAD, bits: 128, since: tls.VersionTLS13, standard: "TLS_AES_128_GCM_SHA256"},
}

// A group is what a word of a cipher list stands for. A set that is 0 does not
// restrict.
type group struct {
	kx       kx
	auth     auth
	enc      enc
	mac      mac
	since    uint16
	strength strength
	optional bool // what DEFAULT leaves out, of which crypto/tls has nothing
}

const (
	encAES = encAES128 | encAES256 | encAES128GCM | encAES256GCM
	encGCM = encAES128GCM | encAES256GCM
	encCBC = encAES128 | encAES256 | encCBCOther
)

// groupOf returns what a word means, by OpenSSL 3.0's table of aliases
// (ciphers(1), CIPHER STRINGS), as far as Debian's build has their algorithms.
// Words are case-sensitive.
func groupOf(word string) (group, bool) {
	switch word {
	case "ALL":
		return group{enc: ^encNone}, true
	case "COMPLEMENTOFALL", "eNULL", "NULL":
		return group{enc: encNone}, true
	case "COMPLEMENTOFDEFAULT":
		return group{optional: true}, true
	case "LOW":
		return group{strength: strengthLow}, true
	case "MEDIUM":
		return group{strength: strengthMedium}, true
	case "HIGH":
		return group{strength: strengthHigh}, true
	case "FIPS":
		return group{strength: strengthFIPS, enc: ^encNone}, true

	case "kRSA":
		return group{kx: kxRSA}, true
	case "kECDHE", "kEECDH", "ECDH":
		return group{kx: kxECDHE}, true
	case "kDHE", "kEDH", "DH":
		return group{kx: kxDHE}, true
	case "kPSK", "kRSAPSK", "kECDHEPSK", "kDHEPSK", "kSRP", "SRP":
		return group{kx: kxOther}, true

	case "aRSA":
		return group{auth: authRSA}, true
	case "aECDSA", "ECDSA":
		return group{auth: authECDSA}, true
	case "aNULL":
		return group{auth: authNone}, true
	case "aDSS", "DSS", "aPSK", "aSRP":
		return group{auth: authOther}, true

	case "RSA":
		return group{kx: kxRSA, auth: authRSA}, true
	case "ECDHE", "EECDH":
		return group{kx: kxECDHE, auth: ^authNone}, true
	case "DHE", "EDH":
		return group{kx: kxDHE, auth: ^authNone}, true
	case "ADH":
		return group{kx: kxDHE, auth: authNone}, true
	case "AECDH":
		return group{kx: kxECDHE, auth: authNone}, true
	case "PSK":
		return group{kx: kxOther}, true

	case "AES":
		return group{enc: encAES}, true
	case "AES128":
		return group{enc: encAES128 | encAES128GCM}, true
	case "AES256":
		return group{enc: encAES256 | encAES256GCM}, true
	case "AESGCM":
		return group{enc: encGCM}, true
	case "CHACHA20":
		return group{enc: encChaCha20}, true
	case "CBC":
		return group{enc: encCBC}, true
	case "CAMELLIA", "CAMELLIA128", "CAMELLIA256", "3DES":
		return group{enc: encCBCOther}, true
	case "AESCCM", "AESCCM8", "ARIA", "ARIAGCM", "ARIA128", "ARIA256":
		return group{enc: encOther}, true

	case "SHA1", "SHA":
		return group{mac: macSHA1}, true
	case "SHA256":
		return group{mac: macSHA256}, true
	case "MD5", "SHA384":
		return group{mac: macOther}, true

	case "SSLv3":
		return group{since: versionSSL30}, true
	case "TLSv1", "TLSv1.0":
		return group{since: tls.VersionTLS10}, true
	case "TLSv1.2":
		return group{since: tls.VersionTLS12}, true
	}
	return group{}, false
}
