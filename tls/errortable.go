package tls

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"time"

	"usersock/sockapi"
)

// What crypto/tls says becomes OpenSSL's words here, and nowhere else. An alert
// that the peer sent has a number, of a type that is not exported; other errors
// are texts without a type, so a text is what they are known by. A text that the
// table lacks, because a later Go may write it otherwise, still gives an SSLError,
// with the text and without a reason. TestErrorTable, TestHostileRecords and the
// tests of certificates provoke the usual ones.

// alertReason has the words for an alert that was received, by its number. They
// are OpenSSL's SSL_R_* of 1000 and more.
func alertReason(number int) (reason string, ok bool) {
	switch number {
	case 10:
		reason = "sslv3 alert unexpected message"
	case 20:
		reason = "sslv3 alert bad record mac"
	case 21:
		reason = "tlsv1 alert decryption failed"
	case 22:
		reason = "tlsv1 alert record overflow"
	case 30:
		reason = "sslv3 alert decompression failure"
	case 40:
		reason = "sslv3 alert handshake failure"
	case 41:
		reason = "sslv3 alert no certificate"
	case 42:
		reason = "sslv3 alert bad certificate"
	case 43:
		reason = "sslv3 alert unsupported certificate"
	case 44:
		reason = "sslv3 alert certificate revoked"
	case 45:
		reason = "sslv3 alert certificate expired"
	case 46:
		reason = "sslv3 alert certificate unknown"
	case 47:
		reason = "sslv3 alert illegal parameter"
	case 48:
		reason = "tlsv1 alert unknown ca"
	case 49:
		reason = "tlsv1 alert access denied"
	case 50:
		reason = "tlsv1 alert decode error"
	case 51:
		reason = "tlsv1 alert decrypt error"
	case 60:
		reason = "tlsv1 alert export restriction"
	case 70:
		reason = "tlsv1 alert protocol version"
	case 71:
		reason = "tlsv1 alert insufficient security"
	case 80:
		reason = "tlsv1 alert internal error"
	case 86:
		reason = "tlsv1 alert inappropriate fallback"
	case 90:
		reason = "tlsv1 alert user cancelled"
	case 100:
		reason = "tlsv1 alert no renegotiation"
	case 109:
		reason = "tlsv13 alert missing extension"
	case 110:
		reason = "tlsv1 unsupported extension"
	case 111:
		reason = "tlsv1 certificate unobtainable"
	case 112:
		reason = "tlsv1 unrecognized name"
	case 113:
		reason = "tlsv1 bad certificate status response"
	case 114:
		reason = "tlsv1 bad certificate hash value"
	case 115:
		reason = "tlsv1 alert unknown psk identity"
	case 116:
		reason = "tlsv13 alert certificate required"
	case 120:
		reason = "tlsv1 alert no application protocol"
	}
	return reason, reason != ""
}

// textReasons are parts of crypto/tls's texts, first match first, and what
// OpenSSL calls the same thing.
var textReasons = [...]struct{ part, reason string }{
	// Local checks of the hello.
	{"client offered only unsupported versions", "unsupported protocol"},
	{"server selected unsupported protocol version", "unsupported protocol"},
	{"no supported versions satisfy MinVersion and MaxVersion", "no protocols available"},
	{"unsupported SSLv2 handshake received", "unsupported protocol"},
	{"no cipher suite supported by both client and server", "no shared cipher"},
	{"no key exchanges supported by both client and server", "no suitable key share"},
	{"no supported elliptic curves", "no shared groups"},
	{"server chose an unconfigured cipher suite", "wrong cipher returned"},
	{"client using inappropriate protocol fallback", "inappropriate fallback"},
	{"client requested unsupported application protocols", "no application protocol"},
	{"no certificates configured", "no certificate set"},
	{"neither Certificates, GetCertificate, nor GetConfigForClient set", "no certificate set"},
	{"peer doesn't support any of the certificate's signature algorithms", "no suitable signature algorithm"},
	{"downgrade attempt detected", "inappropriate fallback"},
	{"unsupported curve", "wrong curve"},
	{"unsupported group", "wrong curve"},
	// Certificates.
	{"client didn't provide a certificate", "peer did not return a certificate"},
	{"failed to parse certificate from server", "certificate verify failed"},
	{"failed to parse client certificate", "certificate verify failed"},
	{"unsupported type of public key", "unknown certificate type"},
	{"unsupported public key of type", "unknown certificate type"},
	{"RSA key larger than", "certificate verify failed"},
	{"invalid signature by the", "bad signature"},
	// Records and messages.
	{"oversized record received", "packet length too long"},
	{"received record with version", "wrong version number"},
	{"first record does not look like a TLS handshake", "wrong version number"},
	{"unexpected handshake message", "unexpected message"},
	{"too many ignored records", "record too small"},
	{"too many non-advancing records", "too many warn alerts"},
	{"exceeds maximum of", "excessive message size"},
	{"Finished message is incorrect", "digest check failed"},
	{"finished hash", "digest check failed"},
	{"Finished message was incorrect", "digest check failed"},
	{"bad record MAC", "decryption failed or bad record mac"},
	{"unexpected message", "unexpected message"},
	{"record overflow", "data length too long"},
	{"error decoding message", "bad extension"},
	{"malformed", "bad extension"},
	{"no renegotiation", "no renegotiation"},
	{"protocol is shutdown", "protocol is shutdown"},
}

// word is OpenSSL's reason as CPython writes it in brackets.
func word(reason string) string { return strings.ToUpper(strings.ReplaceAll(reason, " ", "_")) }

// known makes the error of a reason.
func known(reason string, cause error) *SSLError { return sslError("SSL", word(reason), reason, cause) }

// convert makes what a documented call returns of what the engine did. nil stays
// nil. op is the call.
func convert(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case err == errWantRead:
		return &SSLError{Code: SSL_ERROR_WANT_READ, Text: "The operation did not complete (read)"}
	case err == errWantWrite:
		return &SSLError{Code: SSL_ERROR_WANT_WRITE, Text: "The operation did not complete (write)"}
	case err == errReadTime, err == errWriteTime:
		return late(op)
	case err == io.EOF:
		return &SSLError{Code: SSL_ERROR_ZERO_RETURN, Text: "TLS/SSL connection has been closed (EOF)"}
	case errors.Is(err, errRagged):
		return &SSLError{Code: SSL_ERROR_EOF, Library: "SSL", Reason: "UNEXPECTED_EOF_WHILE_READING", Text: errRagged.Error(), Err: io.ErrUnexpectedEOF}
	case errors.Is(err, errAfterEnd):
		return sslError("SSL", "APPLICATION_DATA_AFTER_CLOSE_NOTIFY", "application data after close notify", nil)
	}
	var verify *SSLCertVerificationError
	if errors.As(err, &verify) {
		return verify
	}
	var ssl *SSLError
	if errors.As(err, &ssl) {
		return ssl
	}
	var own *tls.CertificateVerificationError // of a tls.Config of the program's
	if errors.As(err, &own) {
		return ofGo(own.Err, own.UnverifiedCertificates, time.Time{}).err()
	}
	var header tls.RecordHeaderError
	if errors.As(err, &header) && looksLikeHTTP(header.RecordHeader) {
		return known("http request", err)
	}
	var oe *net.OpError
	if errors.As(err, &oe) {
		switch {
		case oe.Op == "remote error":
			if v := reflect.ValueOf(oe.Err); v.Kind() == reflect.Uint8 {
				if reason, ok := alertReason(int(v.Uint())); ok {
					return known(reason, err)
				}
			}
		case oe.Op != "local error":
			return socketError(op, oe.Err)
		}
	}
	var se *sockapi.Error
	if errors.As(err, &se) {
		return socketError(op, err)
	}
	text := err.Error()
	for _, t := range textReasons {
		if strings.Contains(text, t.part) {
			if strings.Contains(t.part, "public key") {
				err = errors.Join(ErrUnknownAlgorithm, err)
				e := known(t.reason, err)
				e.Text = "unknown algorithm: " + t.reason
				return e
			}
			e := known(t.reason, err)
			if t.reason == "certificate verify failed" {
				return verifyError(1, 0, strings.TrimPrefix(text, "tls: "), err)
			}
			return e
		}
	}
	return sslError("SSL", "", strings.TrimPrefix(text, "tls: "), err)
}

// socketError gives an error of the socket the call that it happened in.
func socketError(op string, err error) error {
	var errno sockapi.Errno
	errors.As(err, &errno)
	if errno == 0 {
		return &SSLError{Code: SSL_ERROR_SYSCALL, Text: "Some I/O error occurred: " + err.Error(), Err: err}
	}
	e := &sockapi.Error{Op: op, Errno: errno}
	if errors.Is(err, net.ErrClosed) {
		e.Err = err
		var inner *sockapi.Error
		if errors.As(err, &inner) {
			e.Err = inner.Unwrap()
		}
	}
	return e
}

func looksLikeHTTP(header [5]byte) bool {
	switch string(header[:]) {
	case "GET /", "POST ", "HEAD ", "PUT /", "OPTIO", "DELET":
		return true
	}
	return false
}
