package tls

// SSL_ERROR_* are the codes of an [SSLError], with OpenSSL's numbers
// (SSL_get_error(3)).
const (
	SSL_ERROR_NONE               = 0
	SSL_ERROR_SSL                = 1
	SSL_ERROR_WANT_READ          = 2
	SSL_ERROR_WANT_WRITE         = 3
	SSL_ERROR_WANT_X509_LOOKUP   = 4
	SSL_ERROR_SYSCALL            = 5
	SSL_ERROR_ZERO_RETURN        = 6
	SSL_ERROR_WANT_CONNECT       = 7
	SSL_ERROR_EOF                = 8
	SSL_ERROR_INVALID_ERROR_CODE = 10
)

// SSLError is an error of TLS: ssl.SSLError.
type SSLError struct {
	Code    int    // SSL_ERROR_*
	Library string // "SSL", "X509", "PEM"; "" where there is none
	Reason  string // such as "WRONG_VERSION_NUMBER"; "" where there is none
	Text    string
	Err     error // the cause; may be nil
}

func (e *SSLError) Error() string {
	switch {
	case e.Reason != "" && e.Library != "":
		return "[" + e.Library + ": " + e.Reason + "] " + e.Text
	case e.Library != "":
		return "[" + e.Library + "] " + e.Text
	}
	return e.Text
}

// Unwrap gives the cause.
func (e *SSLError) Unwrap() error { return e.Err }
