package tls

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// The files that a program names are read here, and nothing else of the host.

// readNamed reads a file for a call.
func readNamed(op, name string) ([]byte, error) {
	data, err := os.ReadFile(name)
	return data, fileError(op, err)
}

// fileError keeps the errno of a file that could not be read.
func fileError(op string, err error) error {
	if err == nil {
		return nil
	}
	e := &sockapi.Error{Op: op, Err: err}
	var host syscall.Errno
	if errors.As(err, &host) {
		for _, errno := range [...]endpoint.Errno{endpoint.ENOENT, endpoint.EACCES, endpoint.ENOTDIR} {
			if errno.Is(host) {
				e.Errno = errno
				e.Err = fileFailure{err, errno}
			}
		}
	}
	return e
}

// fileFailure is found by the host's error and by our number.
type fileFailure struct {
	error
	errno endpoint.Errno
}

func (f fileFailure) Unwrap() []error { return []error{f.error, f.errno} }

// hashed is the name that c_rehash(1) gives: the hash of the subject and a
// number, with an r for revocation lists.
var hashed = regexp.MustCompile(`^[0-9a-f]{8}\.r?[0-9]+$`)

// readFolder reads the certificates and revocation lists of a folder, under
// hashed names or plain ones.
func readFolder(op, name string) (list [][]byte, err error) {
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, fileError(op, err)
	}
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".pem", ".crt", ".cer", ".crl":
		default:
			if !hashed.MatchString(e.Name()) {
				continue
			}
		}
		data, err := os.ReadFile(filepath.Join(name, e.Name()))
		if err != nil {
			if info, e := os.Stat(filepath.Join(name, e.Name())); e != nil || info.IsDir() {
				continue // a link into nowhere
			}
			return nil, fileError(op, err)
		}
		list = append(list, data)
	}
	return list, nil
}

// appendFile opens a file to write to its end.
func appendFile(op, name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return f, fileError(op, err)
}
