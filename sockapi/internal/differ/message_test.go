package differ

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"time"

	"usersock/sockapi"
	"usersock/stack/endpoint"
)

// rights is SCM_RIGHTS with the descriptors of sockets.
func rights(socks ...*sock) item {
	it := item{level: endpoint.SOL_SOCKET, typ: endpoint.SCM_RIGHTS, handles: []handle{}}
	for _, k := range socks {
		it.handles = append(it.handles, k.h)
	}
	return it
}

// sendmsg is sendmsg(2) to the peer: parts are the buffers. names are those of
// the sockets among the items, for what is written down.
func (k *sock) sendmsg(parts []string, flags int, items ...item) {
	k.sendmsgTo(parts, flags, endpoint.Addr{}, items...)
}

func (k *sock) sendmsgTo(parts []string, flags int, to endpoint.Addr, items ...item) {
	var texts []string
	for _, p := range parts {
		texts = append(texts, dataText([]byte(p)))
	}
	call := "sendmsg([" + strings.Join(texts, " ") + "]"
	if to.Family != endpoint.AF_UNSPEC {
		call += ", " + k.s.addrText(to)
	}
	for _, it := range items {
		call += ", " + k.s.sentText(it)
	}
	k.on(call+flagsArg(flags)+")", func() string {
		var bufs [][]byte
		for _, p := range parts {
			bufs = append(bufs, []byte(p))
		}
		return count(k.s.net.sendmsg(k.h, bufs, items, flags, to))
	})
}

func (s *script) sentText(it item) string {
	if it.broken {
		return itemName(it) + " that is too long"
	}
	if it.handles == nil {
		return itemName(it) + " " + itemData(it)
	}
	var names []string
	for _, h := range it.handles {
		name := "nothing"
		for _, k := range s.socks {
			if k.h == h && !k.closed {
				name = k.name
			}
		}
		names = append(names, name)
	}
	if len(names) > 4 {
		return fmt.Sprintf("%d descriptors", len(names))
	}
	return "descriptors of " + strings.Join(names, " ")
}

var itemNames = map[[2]int]string{
	{endpoint.SOL_SOCKET, endpoint.SCM_RIGHTS}:      "SCM_RIGHTS",
	{endpoint.SOL_SOCKET, endpoint.SCM_CREDENTIALS}: "SCM_CREDENTIALS",
	{endpoint.SOL_SOCKET, endpoint.SCM_TIMESTAMP}:   "SCM_TIMESTAMP",
	{endpoint.SOL_SOCKET, endpoint.SCM_TIMESTAMPNS}: "SCM_TIMESTAMPNS",
	{endpoint.IPPROTO_IP, endpoint.IP_TTL}:          "IP_TTL",
	{endpoint.IPPROTO_IP, endpoint.IP_TOS}:          "IP_TOS",
	{endpoint.IPPROTO_IP, endpoint.IP_PKTINFO}:      "IP_PKTINFO",
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_HOPLIMIT}: "IPV6_HOPLIMIT",
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_TCLASS}:   "IPV6_TCLASS",
	{endpoint.IPPROTO_IPV6, endpoint.IPV6_PKTINFO}:  "IPV6_PKTINFO",
}

func itemName(it item) string {
	if name, ok := itemNames[[2]int{it.level, it.typ}]; ok {
		return name
	}
	return fmt.Sprintf("item %d %d", it.level, it.typ)
}

// itemData writes the bytes of an item; a time and a process are its own.
func itemData(it item) string {
	if it.level == endpoint.SOL_SOCKET && (it.typ == endpoint.SCM_TIMESTAMP || it.typ == endpoint.SCM_TIMESTAMPNS) {
		return fmt.Sprintf("%d bytes", len(it.data))
	}
	if it.level == endpoint.SOL_SOCKET && it.typ == endpoint.SCM_CREDENTIALS && len(it.data) >= 4 &&
		int(binary.NativeEndian.Uint32(it.data)) == os.Getpid() {
		return fmt.Sprintf("PID %x", it.data[4:])
	}
	return fmt.Sprintf("%x", it.data)
}

// recvmsg is recvmsg(2) into buffers of sizes and with space for that much
// ancillary data. Descriptors that come get the names.
func (k *sock) recvmsg(sizes []int, control, flags int, names ...string) (got []*sock) {
	k.on(fmt.Sprintf("recvmsg(%v, %d%s)", sizes, control, flagsArg(flags)), func() string {
		return k.receive(sizes, control, flags, func(h handle) {
			name := fmt.Sprintf("extra%d", len(got))
			if len(got) < len(names) {
				name = names[len(got)]
			}
			got = append(got, k.s.add(name, h, false))
		})
	})
	for len(got) < len(names) {
		got = append(got, k.s.add(names[len(got)], -1, false))
	}
	return got
}

// take is recvmsg that closes the descriptors that come.
func (k *sock) take(size, control, flags int) {
	k.on(fmt.Sprintf("recvmsg(%d, %d%s), closing descriptors", size, control, flagsArg(flags)), func() string {
		return k.receive([]int{size}, control, flags, func(h handle) { k.s.must(k.s.net.close(h)) })
	})
}

// receive makes the call and says what came. It hands over each descriptor.
func (k *sock) receive(sizes []int, control, flags int, each func(handle)) string {
	var bufs [][]byte
	for _, n := range sizes {
		bufs = append(bufs, make([]byte, n))
	}
	r, err := k.s.net.recvmsg(k.h, bufs, control, flags)
	if err != nil {
		return errText(err)
	}
	text, left := fmt.Sprint(r.n), r.n
	for _, b := range bufs {
		b = b[:min(len(b), left)]
		left -= len(b)
		text += " " + dataText(b)
	}
	if r.flags != 0 {
		text += " " + msgText(r.flags)
	}
	for _, it := range r.items {
		if it.handles == nil {
			text += " [" + itemName(it) + " " + itemData(it) + "]"
			continue
		}
		text += fmt.Sprintf(" [%s %d]", itemName(it), len(it.handles))
		for _, h := range it.handles {
			each(h)
		}
	}
	if r.from.Family != endpoint.AF_UNSPEC && !(r.from.Family == endpoint.AF_UNIX && r.from.Path == "") {
		text += " from " + k.s.addrText(r.from)
	}
	return text
}

// until waits for an event: what leads to it has a thread of its own.
func (k *sock) until(events int) {
	k.on("waits for "+eventsText(events), func() string {
		for end := time.Now().Add(k.s.patience); k.s.net.poll(k.h)&events != events; {
			if time.Now().After(end) {
				return "in vain"
			}
			k.s.net.await(k.h, events&^k.s.net.poll(k.h), 10*time.Millisecond)
		}
		return "ok"
	})
}

// closeUntil closes sockets and waits until d has heard of it: the kernel looks
// for circles when it likes.
func (s *script) closeUntil(d *sock, socks ...*sock) {
	var names []string
	for _, k := range socks {
		names = append(names, k.name)
	}
	s.step("close "+strings.Join(names, " ")+", and "+d.name+" waits for HUP", func() string {
		for _, k := range socks {
			k.closed = true
			s.must(s.net.close(k.h))
		}
		for end := time.Now().Add(s.patience); s.net.poll(d.h)&sockapi.POLLHUP == 0; {
			if time.Now().After(end) {
				return "in vain"
			}
			s.net.await(d.h, sockapi.POLLHUP, 10*time.Millisecond)
			// The kernel's collector is called by the close of any socket.
			h, err := s.net.socket(endpoint.AF_UNIX, endpoint.SOCK_STREAM, 0)
			s.must(err)
			s.must(s.net.close(h))
		}
		return "ok"
	})
}
