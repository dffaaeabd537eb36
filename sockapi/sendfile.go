package sockapi

import (
	"fmt"
	"io"
	"io/fs"

	"usersock/stack/endpoint"
)

// Sendfile sends the bytes of a file from offset on, count of them at most or
// −1 for all until its end, and returns how many were sent, also with an error.
// It is CPython's socket.sendfile:
//
//   - A regular file (an [fs.File] that is an io.ReaderAt too, as an *os.File is)
//     is read from offset, wherever its position is.
//   - Anything else is read as it comes, after a seek to offset if that is not 0.
//   - A file that can seek has its position behind the last byte sent, after an
//     error too, if any was sent.
//
// Each wait to send lasts up to the socket's timeout. A socket that is no stream,
// non-blocking mode, a count of 0 or less than −1, and a negative offset are a
// [*ValueError]; ESPIPE if there is an offset and the file cannot seek. Nothing
// has been read then.
func (s *Socket) Sendfile(file io.Reader, offset, count int64) (int64, error) {
	if _, err := s.use(); err != nil {
		return 0, fail("sendfile", nil, err)
	}
	refuse := func(text string) (int64, error) { return 0, &ValueError{Op: "sendfile", Msg: text} }
	seeker, seeks := file.(io.Seeker)
	switch {
	case s.typ != SOCK_STREAM:
		return refuse("only SOCK_STREAM type sockets are supported")
	case file == nil:
		return refuse("the file is nil")
	case count == 0 || count < -1:
		return refuse(fmt.Sprintf("count must be a positive integer (got %d)", count))
	case offset < 0:
		return refuse(fmt.Sprintf("offset must not be negative (got %d)", offset))
	case s.Gettimeout() == 0:
		return refuse("non-blocking sockets are not supported")
	}
	source := file
	if at := regular(file); at != nil {
		source = io.NewSectionReader(at, offset, 1<<63-1-offset)
	} else if offset > 0 {
		if !seeks {
			return 0, fail("sendfile", nil, fmt.Errorf("offset %d of a file that cannot seek: %w", offset, endpoint.ESPIPE))
		}
		if _, err := seeker.Seek(offset, io.SeekStart); err != nil {
			return 0, fail("sendfile", nil, err)
		}
	}
	if count > 0 {
		source = io.LimitReader(source, count)
	}
	sent, err := s.sendFrom(source)
	if sent > 0 && seeks {
		if _, serr := seeker.Seek(offset+sent, io.SeekStart); err == nil {
			err = serr
		}
	}
	return sent, fail("sendfile", nil, err)
}

// regular returns a file that can be read from anywhere.
func regular(file io.Reader) io.ReaderAt {
	f, ok := file.(fs.File)
	if !ok {
		return nil
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	at, _ := file.(io.ReaderAt)
	return at
}

// sendFrom sends what r gives until its end. Bytes that were read and not sent
// are lost with an error, unless r is a file that can seek.
func (s *Socket) sendFrom(r io.Reader) (sent int64, err error) {
	buf := make([]byte, copySize)
	for {
		n, rerr := r.Read(buf)
		for data := buf[:n]; len(data) > 0; {
			lim := s.sendLimit()
			k, err := s.sendRaw(data, endpoint.Addr{}, 0, lim, lim.blocking)
			sent += int64(k)
			if err != nil {
				return sent, err
			}
			data = data[k:]
		}
		switch {
		case rerr == io.EOF:
			return sent, nil
		case rerr != nil:
			return sent, rerr
		}
	}
}
