package tls

import (
	"errors"
	"net"
	"os"

	"usersock/sockapi"
)

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

// SSLError is an error of TLS: ssl.SSLError. Errors of the socket below
// (ECONNRESET, a timeout, a closed descriptor) are [sockapi.Error] and not this.
type SSLError struct {
	Code    int    // SSL_ERROR_*
	Library string // "SSL", "X509", "PEM"; "" where there is none
	Reason  string // such as "WRONG_VERSION_NUMBER"; "" where there is none
	Text    string
	Err     error // the cause; may be nil
}

var _ net.Error = (*SSLError)(nil)

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

// Is matches the targets below, which are SSLErrors with a code alone.
func (e *SSLError) Is(target error) bool {
	t, ok := target.(*SSLError)
	return ok && t.Reason == "" && t.Text == "" && t.Code != SSL_ERROR_SSL && t.Code == e.Code
}

// Timeout reports whether the call can be made again when the socket is ready.
func (e *SSLError) Timeout() bool {
	return e.Code == SSL_ERROR_WANT_READ || e.Code == SSL_ERROR_WANT_WRITE
}

// Temporary is Timeout.
func (e *SSLError) Temporary() bool { return e.Timeout() }

// The subclasses of ssl.SSLError that a code tells apart, as targets of
// errors.Is.
var (
	SSLZeroReturnError error = &SSLError{Code: SSL_ERROR_ZERO_RETURN} // the peer has sent close_notify
	SSLWantReadError   error = &SSLError{Code: SSL_ERROR_WANT_READ}   // call again when the socket is readable
	SSLWantWriteError  error = &SSLError{Code: SSL_ERROR_WANT_WRITE}  // call again, with the same bytes, when it is writable
	SSLSyscallError    error = &SSLError{Code: SSL_ERROR_SYSCALL}     // the transport failed with no error of its own
	SSLEOFError        error = &SSLError{Code: SSL_ERROR_EOF}         // the stream ended without close_notify
)

// ErrUnknownAlgorithm is found, with errors.Is, in the error about a certificate
// or key whose algorithm crypto/x509 or crypto/tls does not have.
var ErrUnknownAlgorithm = errors.New("unknown algorithm")

// SSLCertVerificationError is the refusal of a peer's certificate:
// ssl.SSLCertVerificationError. errors.As finds the [SSLError] in it too.
type SSLCertVerificationError struct {
	SSLError
	VerifyCode    int    // X509_V_ERR_*, X509_STORE_CTX_get_error(3)
	VerifyMessage string // such as "certificate has expired"
	Depth         int    // of the certificate that is at fault; 0 is the peer's own
}

// Unwrap gives the SSLError, which has the cause.
func (e *SSLCertVerificationError) Unwrap() error { return &e.SSLError }

// verifyError makes one. cause may be nil.
func verifyError(code, depth int, message string, cause error) *SSLCertVerificationError {
	text := "certificate verify failed: " + message
	if errors.Is(cause, ErrUnknownAlgorithm) {
		text = "certificate verify failed: unknown algorithm: " + message
	}
	return &SSLCertVerificationError{
		SSLError:      SSLError{Code: SSL_ERROR_SSL, Library: "SSL", Reason: "CERTIFICATE_VERIFY_FAILED", Text: text, Err: cause},
		VerifyCode:    code,
		VerifyMessage: message,
		Depth:         depth,
	}
}

// sslError is an SSLError of a library, with OpenSSL's words.
func sslError(library, reason, text string, cause error) *SSLError {
	return &SSLError{Code: SSL_ERROR_SSL, Library: library, Reason: reason, Text: text, Err: cause}
}

// valueError is an argument or a state that CPython answers with ValueError.
func valueError(op, msg string) error { return &sockapi.ValueError{Op: op, Msg: msg} }

// lateError is the end of a call's time: the timeout of the socket's mode, or a
// deadline.
type lateError struct{ text string }

var _ net.Error = (*lateError)(nil)

func (e *lateError) Error() string   { return e.text }
func (e *lateError) Timeout() bool   { return true }
func (e *lateError) Temporary() bool { return true }
func (e *lateError) Is(target error) bool {
	return target == sockapi.ErrTimeout || target == os.ErrDeadlineExceeded
}

// late is CPython's words for a call that took too long.
func late(op string) error {
	what := op
	switch op {
	case "handshake", "do_handshake", "connect", "accept":
		what = "handshake"
	case "recv", "recv_into", "recvfrom", "read":
		what = "read"
	case "send", "sendall", "write", "sendfile":
		what = "write"
	case "unwrap":
		what = "unwrap"
	}
	return &sockapi.Error{Op: op, Err: &lateError{"The " + what + " operation timed out"}}
}
