package tls

// X509_V_ERR_* that this package gives (X509_STORE_CTX_get_error(3)).
const (
	verifyUnspecified       = 1
	verifyNoIssuer          = 2
	verifyNoCRL             = 3
	verifySignature         = 7
	verifyCRLSignature      = 8
	verifyNotYet            = 9
	verifyExpired           = 10
	verifyCRLNotYet         = 11
	verifyCRLExpired        = 12
	verifySelfSigned        = 18
	verifySelfSignedInChain = 19
	verifyNoLocalIssuer     = 20
	verifyTooLong           = 22
	verifyRevoked           = 23
	verifyPathLength        = 25
	verifyPurpose           = 26
	verifyCritical          = 34
	verifyNoCRLSign         = 35
	verifyNotPermitted      = 47
	verifyExcluded          = 48
	verifyHostname          = 62
	verifyAddress           = 64
	verifyWeakKey           = 66
	verifyWeakCAKey         = 67
	verifyWeakDigest        = 68
	verifyUnknownAlgorithm  = 76
	verifyNotCA             = 79
	verifyNoKeyIdentifier   = 85
	verifyNoKeyUsage        = 92
)

// verifyText is X509_verify_cert_error_string(3).
func verifyText(code int) string {
	switch code {
	case verifyNoIssuer:
		return "unable to get issuer certificate"
	case verifyNoCRL:
		return "unable to get certificate CRL"
	case verifySignature:
		return "certificate signature failure"
	case verifyCRLSignature:
		return "CRL signature failure"
	case verifyNotYet:
		return "certificate is not yet valid"
	case verifyExpired:
		return "certificate has expired"
	case verifyCRLNotYet:
		return "CRL is not yet valid"
	case verifyCRLExpired:
		return "CRL has expired"
	case verifySelfSigned:
		return "self-signed certificate"
	case verifySelfSignedInChain:
		return "self-signed certificate in certificate chain"
	case verifyNoLocalIssuer:
		return "unable to get local issuer certificate"
	case verifyTooLong:
		return "certificate chain too long"
	case verifyRevoked:
		return "certificate revoked"
	case verifyPathLength:
		return "path length constraint exceeded"
	case verifyPurpose:
		return "unsuitable certificate purpose"
	case verifyCritical:
		return "unhandled critical extension"
	case verifyNoCRLSign:
		return "key usage does not include CRL signing"
	case verifyNotPermitted:
		return "permitted subtree violation"
	case verifyExcluded:
		return "excluded subtree violation"
	case verifyHostname:
		return "hostname mismatch"
	case verifyAddress:
		return "IP address mismatch"
	case verifyWeakKey:
		return "EE certificate key too weak"
	case verifyWeakCAKey:
		return "CA certificate key too weak"
	case verifyWeakDigest:
		return "CA signature digest algorithm too weak"
	case verifyUnknownAlgorithm:
		return "Cannot find certificate signature algorithm"
	case verifyNotCA:
		return "invalid CA certificate"
	case verifyNoKeyIdentifier:
		return "Missing Authority Key Identifier"
	case verifyNoKeyUsage:
		return "CA cert does not include key usage extension"
	}
	return "unspecified certificate verification error"
}
