package unix

import (
	"encoding/binary"
	"strconv"
	"time"

	"usersock/stack/endpoint"
)

// maxRights is how many rights go with one message, SCM_MAX_FD of Linux.
const maxRights = 253

// What SO_PEERCRED says without a peer, and SCM_CREDENTIALS of a message that
// came without: Linux shows an unset id as −1 in the first and as the overflow
// id in the second.
var (
	unknownPeer   = endpoint.Cred{Uid: ^uint32(0), Gid: ^uint32(0)}
	unknownSender = endpoint.Cred{Uid: 65534, Gid: 65534}
)

// ancillary is what control items of Send ask for.
type ancillary struct {
	rights   []endpoint.Right
	cred     endpoint.Cred
	withCred bool
}

// parseControl reads the control items of a message. Levels other than
// SOL_SOCKET are ignored, as by Linux; other types are EINVAL. Who is not user
// 0 may only send its own credentials (EPERM); user 0 may send those of any
// process that could be (ESRCH), with ids that could be (EINVAL).
func (e *Endpoint) parseControl(items []endpoint.Control) (a ancillary, err error) {
	for _, c := range items {
		if c.Err != nil {
			return ancillary{}, c.Err
		}
		if c.Level != endpoint.SOL_SOCKET {
			continue
		}
		switch c.Type {
		case endpoint.SCM_RIGHTS:
			if len(a.rights)+len(c.Rights) > maxRights {
				return ancillary{}, endpoint.EINVAL
			}
			a.rights = append(a.rights, c.Rights...)
		case endpoint.SCM_CREDENTIALS:
			if len(c.Data) != 12 {
				return ancillary{}, endpoint.EINVAL
			}
			a.cred = endpoint.Cred{
				Pid: int32(binary.NativeEndian.Uint32(c.Data)),
				Uid: binary.NativeEndian.Uint32(c.Data[4:]),
				Gid: binary.NativeEndian.Uint32(c.Data[8:]),
			}
			const none = ^uint32(0)
			switch {
			case a.cred.Uid == none || a.cred.Gid == none:
				return ancillary{}, endpoint.EINVAL
			case e.cred.Uid != 0 && a.cred != e.cred:
				return ancillary{}, endpoint.EPERM
			case a.cred.Pid <= 0:
				return ancillary{}, endpoint.ESRCH
			}
			a.withCred = true
		default:
			return ancillary{}, endpoint.EINVAL
		}
	}
	return a, nil
}

// credFor returns the credentials that go with a message from e to p. Who
// does not ask for them gets none, except that what was sent before Accept
// has them, since the program may ask later.
func (e *Endpoint) credFor(p *Endpoint, a ancillary) endpoint.Cred {
	switch {
	case a.withCred:
		return a.cred
	case e.passCred.Load() || p.passCred.Load() || p.listener.Load() != nil:
		return e.cred
	}
	return unknownSender
}

// control packs what came with a message into r, or drops it when the receiver
// did not ask for control items. The caller holds no lock.
func (e *Endpoint) control(r *endpoint.Received, p portion, asked bool) {
	pass, stamp := e.passCred.Load(), e.stamp.Load()
	if !pass && p.rights == nil && (stamp == 0 || p.when == 0) {
		return
	}
	if !asked {
		r.Flags |= endpoint.MSG_CTRUNC
		e.family.release(p.rights)
		return
	}
	if stamp != 0 && p.when != 0 {
		r.Control = append(r.Control, timestamp(int(stamp), time.Unix(0, p.when)))
	}
	if pass {
		data := make([]byte, 12)
		endpoint.PutCred(data, p.cred)
		r.Control = append(r.Control, endpoint.Control{
			Level: endpoint.SOL_SOCKET, Type: endpoint.SCM_CREDENTIALS, Data: data,
		})
	}
	if p.rights != nil {
		r.Control = append(r.Control, endpoint.Control{
			Level: endpoint.SOL_SOCKET, Type: endpoint.SCM_RIGHTS, Rights: p.rights,
		})
	}
}

// timestamp returns a SCM_TIMESTAMP (struct timeval) or SCM_TIMESTAMPNS (struct
// timespec) item; each has the number of its option.
func timestamp(option int, t time.Time) endpoint.Control {
	sub := t.Nanosecond()
	if option == endpoint.SO_TIMESTAMP {
		sub /= int(time.Microsecond)
	}
	var data []byte
	if strconv.IntSize == 64 {
		data = binary.NativeEndian.AppendUint64(data, uint64(t.Unix()))
		data = binary.NativeEndian.AppendUint64(data, uint64(sub))
	} else {
		data = binary.NativeEndian.AppendUint32(data, uint32(t.Unix()))
		data = binary.NativeEndian.AppendUint32(data, uint32(sub))
	}
	return endpoint.Control{Level: endpoint.SOL_SOCKET, Type: option, Data: data}
}

// retainAll returns the rights for one more receiver.
func retainAll(rights []endpoint.Right) []endpoint.Right {
	if rights == nil {
		return nil
	}
	for _, r := range rights {
		r.Retain()
	}
	return append([]endpoint.Right(nil), rights...)
}
