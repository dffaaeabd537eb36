package resolver

import (
	"context"
	"errors"
	"strconv"

	"usersock/stack/endpoint"
)

// The values of h_errno, netdb.h.
const (
	HOST_NOT_FOUND = 1 // the name does not exist
	TRY_AGAIN      = 2 // no server answered; later it may
	NO_RECOVERY    = 3 // a server gave an answer that cannot be used
	NO_DATA        = 4 // the name exists, without an address (or a name)
)

// Gaierror is an error of getaddrinfo(3) or getnameinfo(3).
type Gaierror struct {
	Code int    // EAI_*, endpoint's numbers
	Name string // what was looked up; "" when it was not a name
	Err  error  // the cause; nil when the code says it all
}

// Error returns the text of gai_strerror(3), which is what programs show.
// Name and Err carry the rest.
func (e *Gaierror) Error() string { return GaiStrerror(e.Code) }

// Unwrap returns the cause.
func (e *Gaierror) Unwrap() error { return e.Err }

// Timeout reports whether a name server, or the caller's context, ran out of
// time.
func (e *Gaierror) Timeout() bool { return isTimeout(e.Err) }

// Temporary reports whether the same call may succeed later.
func (e *Gaierror) Temporary() bool { return e.Code == endpoint.EAI_AGAIN }

// Herror is an error of gethostbyaddr(3) and its relatives.
type Herror struct {
	Code int    // HOST_NOT_FOUND, TRY_AGAIN, NO_RECOVERY or NO_DATA
	Name string // what was looked up
	Err  error  // the cause; nil when the code says it all
}

// Error returns the text of hstrerror(3).
func (e *Herror) Error() string { return Hstrerror(e.Code) }

// Unwrap returns the cause.
func (e *Herror) Unwrap() error { return e.Err }

// Timeout reports whether a name server, or the caller's context, ran out of
// time.
func (e *Herror) Timeout() bool { return isTimeout(e.Err) }

// Temporary reports whether the same call may succeed later.
func (e *Herror) Temporary() bool { return e.Code == TRY_AGAIN }

// Errors whose texts are CPython's; programs match on them.
var (
	// ErrServiceNotFound: Getservbyname knows no such service.
	ErrServiceNotFound = errors.New("service/proto not found")
	// ErrPortNotFound: Getservbyport knows no service of that port.
	ErrPortNotFound = errors.New("port/proto not found")
	// ErrProtocolNotFound: Getprotobyname knows no such protocol.
	ErrProtocolNotFound = errors.New("protocol not found")
	// ErrPortRange: Getservbyport was given a port outside 0 to 65535.
	ErrPortRange = errors.New("getservbyport: port must be 0-65535.")
	// ErrWildcard: the empty name stands for several addresses where one is
	// needed.
	ErrWildcard = errors.New("wildcard resolved to multiple address")
)

// Outcomes of a lookup in one source. A [Source] returns one of them, or an
// error that wraps one; any other error counts as ErrTryAgain.
var (
	// ErrNotFound: the name or address does not exist.
	ErrNotFound = errors.New("no such name")
	// ErrNoData: the name exists, without an address of the family.
	ErrNoData = errors.New("name has no address of the family asked for")
	// ErrTryAgain: the source cannot answer now.
	ErrTryAgain = errors.New("no answer")
	// ErrNoRecovery: the source gave an answer that cannot be used.
	ErrNoRecovery = errors.New("unusable answer")
	// ErrUnavailable: the source is not there at all.
	ErrUnavailable = errors.New("source not available")
)

// Causes found in the chain of an error.
var (
	errNUL      = errors.New("name holds a NUL")
	errScope    = errors.New("no such scope")
	errTooLong  = errors.New("name or label too long")
	errNotName  = errors.New("not a legal host name")
	errNoDial   = errors.New("resolver has no Dial, so no name server can be asked")
	errNoSource = errors.New("no source to ask")
	errTimeout  = timeoutError{}
)

// timeoutError says that a name server did not answer in time.
type timeoutError struct{}

func (timeoutError) Error() string   { return "name server did not answer in time" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

func gaiError(code int, name string, cause error) error {
	return &Gaierror{Code: code, Name: name, Err: cause}
}

// rank orders the failures of several questions or sources: the one that says
// most about what to do next wins. A temporary failure hides a name that may
// exist, so it comes before "no such name"; glibc lets the last failure win.
func rank(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrUnavailable):
		return 1
	case errors.Is(err, ErrNotFound):
		return 2
	case errors.Is(err, ErrNoData):
		return 3
	case errors.Is(err, ErrNoRecovery):
		return 4
	}
	return 5 // ErrTryAgain and whatever else
}

// worse returns the error of the higher rank; a on a tie.
func worse(a, b error) error {
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// gaiFromLookup turns the failure of a lookup into getaddrinfo's error.
func gaiFromLookup(name string, err error) error {
	code := endpoint.EAI_AGAIN
	switch rank(err) {
	case 2:
		code = endpoint.EAI_NONAME
	case 3:
		code = endpoint.EAI_NODATA
	case 4:
		code = endpoint.EAI_FAIL
	}
	return gaiError(code, name, err)
}

// herrorFromLookup turns the failure of a lookup into gethostbyaddr's error.
func herrorFromLookup(name string, err error) error {
	code := TRY_AGAIN
	switch rank(err) {
	case 2:
		code = HOST_NOT_FOUND
	case 3:
		code = NO_DATA
	case 4:
		code = NO_RECOVERY
	}
	return &Herror{Code: code, Name: name, Err: err}
}

// GaiStrerror returns the text of gai_strerror(3) for an EAI_* code, as glibc
// has it in the C locale.
func GaiStrerror(code int) string {
	switch code {
	case endpoint.EAI_ADDRFAMILY:
		return "Address family for hostname not supported"
	case endpoint.EAI_AGAIN:
		return "Temporary failure in name resolution"
	case endpoint.EAI_BADFLAGS:
		return "Bad value for ai_flags"
	case endpoint.EAI_FAIL:
		return "Non-recoverable failure in name resolution"
	case endpoint.EAI_FAMILY:
		return "ai_family not supported"
	case endpoint.EAI_MEMORY:
		return "Memory allocation failure"
	case endpoint.EAI_NODATA:
		return "No address associated with hostname"
	case endpoint.EAI_NONAME:
		return "Name or service not known"
	case endpoint.EAI_SERVICE:
		return "Servname not supported for ai_socktype"
	case endpoint.EAI_SOCKTYPE:
		return "ai_socktype not supported"
	case endpoint.EAI_SYSTEM:
		return "System error"
	case endpoint.EAI_OVERFLOW:
		return "Result too large for supplied buffer"
	case endpoint.EAI_INPROGRESS:
		return "Processing request in progress"
	case endpoint.EAI_CANCELED:
		return "Request canceled"
	case endpoint.EAI_NOTCANCELED:
		return "Request not canceled"
	case endpoint.EAI_ALLDONE:
		return "All requests done"
	case endpoint.EAI_INTR:
		return "Interrupted by a signal"
	case endpoint.EAI_IDN_ENCODE:
		return "Parameter string not correctly encoded"
	}
	return "Unknown error"
}

// Hstrerror returns the text of hstrerror(3) for a value of h_errno.
func Hstrerror(code int) string {
	switch code {
	case 0:
		return "Resolver Error 0 (no error)"
	case HOST_NOT_FOUND:
		return "Unknown host"
	case TRY_AGAIN:
		return "Host name lookup failure"
	case NO_RECOVERY:
		return "Unknown server error"
	case NO_DATA:
		return "No address associated with name"
	}
	if code < 0 {
		return "Resolver internal error"
	}
	return "Unknown resolver error"
}

// quoteName shows a name in an error without letting it break the line.
func quoteName(name string) string {
	if name == "" {
		return `""`
	}
	return strconv.Quote(name)
}
