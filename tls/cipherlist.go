package tls

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
)

// A cipher list is a program over an ordered list of suites, each of which is
// on or off (ciphers(1)). It begins with all of them off, in OpenSSL's order of
// preference. Its words are separated by ":", ",", ";" or a space, and each does
// one thing to the suites that it selects:
//
//	WORD         those that are off are switched on and go to the end
//	-WORD        those that are on are switched off
//	!WORD        they are gone for good
//	+WORD        those that are on go to the end
//	@STRENGTH    what is on is sorted by the strength of the encryption
//	@SECLEVEL=N  the security level is N, 0 to 5
//
// WORD is a suite or a group, or several of them joined by "+", which select
// what all of them do. A word that nobody knows selects nothing. DEFAULT is
// known only as the beginning of a list, and SUITEB128 and its kin are the whole
// list.
//
// The suites of TLS 1.3 are not part of it.

// cipherList is the outcome of a list.
type cipherList struct {
	suites []suite
	level  int // the security level, SSL_CTX_set_security_level(3)
}

// errInvalidCommand is what a list is refused with that is no list.
var errInvalidCommand = errors.New("invalid command")

// defaultLevel is Debian's security level, 2: at least 112 bits.
const defaultLevel = 2

// defaultCiphers is what DEFAULT stands for.
const defaultCiphers = "ALL:!COMPLEMENTOFDEFAULT:!eNULL"

// suiteB are lists with a name (RFC 6460). What follows the name counts for
// nothing.
var suiteB = [...]struct{ prefix, list string }{
	{"SUITEB128ONLY", "ECDHE-ECDSA-AES128-GCM-SHA256"},
	{"SUITEB128C2", "ECDHE-ECDSA-AES256-GCM-SHA384"},
	{"SUITEB128", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"},
	{"SUITEB192", "ECDHE-ECDSA-AES256-GCM-SHA384"},
}

// parseCipherList runs a list. The outcome may have no suites.
func parseCipherList(text string) (cipherList, error) {
	r := listRun{level: defaultLevel}
	for i := range suites {
		r.list = append(r.list, entry{suite: &suites[i]})
	}
	for _, b := range suiteB {
		if strings.HasPrefix(text, b.prefix) {
			text = b.list
			break
		}
	}
	if rest, ok := strings.CutPrefix(text, "DEFAULT"); ok {
		r.run(defaultCiphers)
		text = strings.TrimPrefix(rest, ":")
	}
	if err := r.run(text); err != nil {
		return cipherList{}, err
	}
	out := cipherList{level: r.level}
	for _, e := range r.list {
		if e.on {
			out.suites = append(out.suites, *e.suite)
		}
	}
	return out, nil
}

type entry struct {
	suite *suite
	on    bool
}

// listRun is a list while it is worked on.
type listRun struct {
	list  []entry
	level int
}

func isSeparator(c byte) bool { return c == ':' || c == ' ' || c == ';' || c == ',' }

func isWord(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '='
}

func (r *listRun) run(text string) error {
	for len(text) > 0 {
		var op byte
		switch text[0] {
		case '-', '+', '!', '@':
			op, text = text[0], text[1:]
		case ':', ' ', ';', ',':
			text = text[1:]
			continue
		}
		var err error
		if text, err = r.item(op, text); err != nil {
			return err
		}
	}
	return nil
}

// item does what one item of the list says, and returns what follows it.
func (r *listRun) item(op byte, text string) (rest string, err error) {
	sel := selection{}
	for {
		n := 0
		for n < len(text) && isWord(text[n]) {
			n++
		}
		if n == 0 {
			return "", errInvalidCommand
		}
		word := text[:n]
		text = text[n:]
		if op == '@' {
			if err := r.command(word); err != nil {
				return "", err
			}
			return toSeparator(text), nil
		}
		more := strings.HasPrefix(text, "+")
		if more {
			text = text[1:]
		}
		if !sel.narrow(word) {
			return toSeparator(text), nil
		}
		if !more {
			break
		}
	}
	r.apply(op, &sel)
	return text, nil
}

func toSeparator(text string) string {
	for len(text) > 0 && !isSeparator(text[0]) {
		text = text[1:]
	}
	return text
}

func (r *listRun) command(word string) error {
	level, ok := strings.CutPrefix(word, "SECLEVEL=")
	switch {
	case word == "STRENGTH":
		slices.SortStableFunc(r.list, func(a, b entry) int {
			// What is off stays where it is to the others that are off.
			if a.on != b.on {
				if a.on {
					return 1
				}
				return -1
			}
			if !a.on {
				return 0
			}
			return b.suite.bits - a.suite.bits
		})
		return nil
	case ok && len(level) == 1 && level[0] >= '0' && level[0] <= '5':
		r.level = int(level[0] - '0')
		return nil
	}
	return errInvalidCommand
}

// A selection is what the words of one item have in common.
type selection struct {
	group
	id uint16 // a suite of that number, unless 0
}

// narrow adds a word. It reports false for one that is unknown, or that has
// nothing in common with those before.
func (s *selection) narrow(word string) bool {
	g, ok := groupOf(word)
	if !ok {
		i := slices.IndexFunc(suites[:], func(c suite) bool { return c.name == word })
		if i < 0 {
			return false
		}
		c := &suites[i]
		s.id = c.id
		g = group{kx: c.kx, auth: c.auth, enc: c.enc, mac: c.mac, strength: c.strength}
	}
	if s.strength == 0 && g.strength != 0 {
		s.optional = false // OpenSSL forgets COMPLEMENTOFDEFAULT here
	}
	s.optional = s.optional || g.optional
	if g.since != 0 && s.since != 0 && g.since != s.since {
		return false
	}
	if g.since != 0 {
		s.since = g.since
	}
	return both(&s.kx, g.kx) && both(&s.auth, g.auth) && both(&s.enc, g.enc) && both(&s.mac, g.mac) &&
		both(&s.strength, g.strength)
}

// both intersects a set with another, where 0 is everything, and reports
// whether anything is left.
func both[T kx | auth | enc | mac | strength](s *T, with T) bool {
	switch {
	case with == 0:
		return true
	case *s == 0:
		*s = with
		return true
	}
	*s &= with
	return *s != 0
}

func (s *selection) has(c *suite) bool {
	return !s.optional && (s.id == 0 || s.id == c.id) &&
		(s.kx == 0 || s.kx&c.kx != 0) && (s.auth == 0 || s.auth&c.auth != 0) &&
		(s.enc == 0 || s.enc&c.enc != 0) && (s.mac == 0 || s.mac&c.mac != 0) &&
		(s.since == 0 || s.since == c.since) && (s.strength == 0 || s.strength&c.strength != 0)
}

// apply does one operation on what is selected. The order of what is off
// counts too: what is switched off goes to the front.
func (r *listRun) apply(op byte, sel *selection) {
	var moved, kept []entry
	for _, e := range r.list {
		chosen := sel.has(e.suite)
		switch {
		case !chosen:
			kept = append(kept, e)
		case op == '!':
		case op == 0 && !e.on, op == '+' && e.on:
			moved = append(moved, entry{e.suite, true})
		case op == '-' && e.on:
			moved = append(moved, entry{e.suite, false})
		default:
			kept = append(kept, e)
		}
	}
	if op == '-' {
		r.list = append(moved, kept...)
		return
	}
	r.list = append(kept, moved...)
}

// allowed applies the security level (SSL_CTX_set_security_level(3)) to a
// suite: 80, 112, 128, 192 and 256 bits from level 1 on, and from level 3 on
// only keys that are made for the connection.
func (l cipherList) allowed(c suite) bool {
	least := [...]int{0, 80, 112, 128, 192, 256}[l.level]
	if c.bits < least || least > 160 && c.mac == macSHA1 {
		return false
	}
	return l.level < 3 || c.since == tls.VersionTLS13 || c.kx&(kxECDHE|kxDHE) != 0
}

// ids returns the numbers of the suites that the security level allows.
func (l cipherList) ids() []uint16 {
	var ids []uint16
	for _, c := range l.suites {
		if l.allowed(c) {
			ids = append(ids, c.id)
		}
	}
	return ids
}
