package inet

import (
	"testing"

	"usersock/stack/endpoint"
)

// No value of any option, on any kind of socket, does more than fail, and the
// socket still works.
func FuzzSetOption(f *testing.F) {
	infos := Options()
	for i := range infos {
		f.Add(uint8(i), uint8(i), []byte{1, 0, 0, 0})
	}
	f.Add(uint8(0), uint8(0), []byte{})
	f.Add(uint8(7), uint8(1), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	p := newProtocols(f, true, true)
	all := otherKinds
	for _, k := range kinds {
		all = append(all, otherKind{k.name, k.af, k.typ, 0})
	}
	f.Fuzz(func(t *testing.T, kind, row uint8, value []byte) {
		k := all[int(kind)%len(all)]
		info := infos[int(row)%len(infos)]
		ep, err := p.Family(k.af).Open(endpoint.Request{Type: k.typ, Protocol: k.proto})
		check(t, err)
		defer ep.Close()
		set := ep.SetOption(info.Level, info.Name, value)
		if set == nil && !info.Writable {
			t.Errorf("%s was written", info.Symbol)
		}
		buf := make([]byte, len(value))
		if n, err := ep.Option(info.Level, info.Name, buf); err == nil && (n < 0 || n > len(buf)) {
			t.Errorf("%s read %d bytes into %d", info.Symbol, n, len(buf))
		}
		a := inet(lo4, 0)
		if k.af == endpoint.AF_INET6 {
			a = inet(lo6, 0)
		}
		check(t, ep.Bind(a))
		if k.typ == endpoint.SOCK_STREAM {
			check(t, ep.Listen(1))
			return
		}
		to, err := ep.LocalAddr()
		check(t, err)
		_, _ = ep.Send(endpoint.Message{Bufs: [][]byte{{1}}, To: to,
			Control: []endpoint.Control{{Level: info.Level, Type: info.Name, Data: value}}})
	})
}
