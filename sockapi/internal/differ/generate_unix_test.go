package differ

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"usersock/stack/endpoint"
)

// nextUnix is a move of what AF_UNIX alone has: items, urgent data, the memory of
// messages, names in a folder.
func (p *program) nextUnix(r *rand.Rand) move {
	on, to := socketNames[r.IntN(4)], socketNames[r.IntN(4)]
	text := strings.Repeat(string(rune('a'+r.IntN(26))), []int{0, 1, 2, 3, 3, 5, 9, 20, 300, 5000, 70_000}[r.IntN(11)])
	flags := 0
	switch r.IntN(12) {
	case 0, 1, 2:
		m := move{op: "message", on: on, text: text, n: max(0, r.IntN(6)-2), cred: r.IntN(4) == 0}
		if p.typ == endpoint.SOCK_STREAM && r.IntN(4) == 0 {
			m.flags = oob
		}
		return m
	case 3, 4, 5:
		if r.IntN(3) == 0 {
			flags |= peek
		}
		if r.IntN(8) == 0 {
			flags |= oob
		}
		return move{op: "take", on: on, n: []int{1, 2, 4, 10, 1000, 100_000}[r.IntN(6)], flags: flags, cred: r.IntN(2) == 0}
	case 6, 7:
		switch r.IntN(5) {
		case 0, 1:
			return move{op: "set", on: on, what: soPasscred, n: r.IntN(2)}
		case 2:
			return move{op: "set", on: on, what: soPeekOff, n: r.IntN(8) - 4}
		case 3:
			return move{op: "set", on: on, what: soOobinline, n: r.IntN(2)}
		}
		return move{op: "set", on: on, what: soSndbuf, n: 5000 + 1000*r.IntN(5)}
	case 8:
		return move{op: "send", on: on, text: text}
	case 9:
		return move{op: "stuff", on: on, n: 700 + r.IntN(3)*9000}
	case 10:
		return move{op: "memory", on: on}
	}
	return move{op: "unlink", on: on, to: to}
}

// unixMove plays such a move.
func (b *board) unixMove(k *sock, m move) {
	switch m.op {
	case "message":
		b.message(k, m)
	case "take":
		control := 0
		if m.cred {
			control = space
		}
		k.take(m.n, control, m.flags)
	case "stuff":
		k.on(fmt.Sprintf("send %d bytes until it is full", m.n), func() string { return k.stuff(m.n) })
	case "memory":
		k.memory()
	case "unlink":
		b.unlink(m.to)
	}
}

// message sends descriptors of a socket that has nothing to do with the others:
// when the kernel looks for circles is not told.
func (b *board) message(k *sock, m move) {
	h, err := b.net.socket(endpoint.AF_INET, endpoint.SOCK_DGRAM, 0)
	b.must(err)
	var items []item
	if m.n > 0 {
		items = append(items, copies(&sock{h: h}, m.n))
	}
	if m.cred {
		items = append(items, ownCred())
	}
	k.sendmsg([]string{m.text}, m.flags, items...)
	b.must(b.net.close(h))
}

// quoted is the text as Go has it, or how to make it.
func (m move) quoted() string {
	if len(m.text) > 20 {
		return fmt.Sprintf("strings.Repeat(%q, %d)", m.text[:1], len(m.text))
	}
	return fmt.Sprintf("%q", m.text)
}

func (m move) unixSource() string {
	switch m.op {
	case "message":
		items := ""
		if m.n > 0 {
			items = fmt.Sprintf(", copies(%s, %d)", m.on, m.n)
		}
		if m.cred {
			items += ", ownCred()"
		}
		return fmt.Sprintf("%s.sendmsg([]string{%s}, %d%s)", m.on, m.quoted(), m.flags, items)
	case "take":
		control := "0"
		if m.cred {
			control = "space"
		}
		return fmt.Sprintf("%s.take(%d, %s, %d)", m.on, m.n, control, m.flags)
	case "stuff":
		return fmt.Sprintf("%s.on(\"stuff\", func() string { return %s.stuff(%d) })", m.on, m.on, m.n)
	case "unlink":
		return fmt.Sprintf("s.unlink(%q)", m.to)
	}
	return fmt.Sprintf("%s.%s()", m.on, m.op)
}
