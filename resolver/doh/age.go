package doh

import (
	"encoding/binary"
	"errors"
	"net/http"
	"strconv"
)

// age is how long a reply has been in caches on the way, in seconds.
func age(header http.Header) uint32 {
	n, err := strconv.ParseUint(header.Get("Age"), 10, 31)
	if err != nil {
		return 0 // not there, or no number (RFC 9111, section 5.1: ignored)
	}
	return uint32(n)
}

var errCut = errors.New("message is cut off")

// grow takes seconds off the TTL of each record of a message (RFC 8484, section
// 5.1), but not of the OPT record, whose TTL is none.
func grow(msg []byte, seconds uint32) error {
	if len(msg) < 12 {
		return errCut
	}
	at := 12
	var err error
	for range binary.BigEndian.Uint16(msg[4:]) {
		if at, err = skipName(msg, at); err != nil {
			return err
		}
		at += 4
	}
	records := 0
	for i := 6; i < 12; i += 2 {
		records += int(binary.BigEndian.Uint16(msg[i:]))
	}
	for range records {
		if at, err = skipName(msg, at); err != nil {
			return err
		}
		if at+10 > len(msg) {
			return errCut
		}
		const opt = 41
		if ttl := msg[at+4 : at+8]; binary.BigEndian.Uint16(msg[at:]) != opt {
			left := binary.BigEndian.Uint32(ttl)
			binary.BigEndian.PutUint32(ttl, left-min(left, seconds))
		}
		at += 10 + int(binary.BigEndian.Uint16(msg[at+8:]))
	}
	if at > len(msg) {
		return errCut
	}
	return nil
}

// skipName returns where the name at a place of a message ends.
func skipName(msg []byte, at int) (int, error) {
	for at < len(msg) {
		switch n := int(msg[at]); {
		case n == 0:
			return at + 1, nil
		case n >= 0xc0:
			return at + 2, nil
		default:
			at += 1 + n
		}
	}
	return 0, errCut
}
