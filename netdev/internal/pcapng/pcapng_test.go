package pcapng

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGolden compares each kind of block with one that was checked by hand
// against the format, and by tshark.
func TestGolden(t *testing.T) {
	if order.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the golden file is for machines with the lowest byte first")
	}
	b := AppendSection(nil, "os", "program")
	b = AppendInterface(b, LinkRaw, 96, "eth0", "a link")
	b = AppendSecrets(b, []byte("CLIENT_RANDOM 00 11\n!"))
	b = AppendPacket(b, 0, 0x0102030405060708, Outbound, 1500, []byte{0x45, 1, 2, 3, 4}, "hello")
	b = AppendPacket(b, 0, 1, Inbound, 4, []byte{0x45, 1, 2, 3}, "")
	b = AppendStats(b, 0, 2, 3, 1)
	if len(b)%4 != 0 {
		t.Errorf("%d bytes, not a multiple of 4", len(b))
	}
	got := hex.Dump(b)
	file := filepath.Join("testdata", "blocks.txt")
	if os.Getenv("USERSOCK_UPDATE") != "" {
		os.MkdirAll("testdata", 0o777)
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("the blocks are\n%s", got)
	}
}

// TestLong: an option longer than its length field can say is cut.
func TestLong(t *testing.T) {
	b := AppendPacket(nil, 0, 0, Inbound, 0, nil, strings.Repeat("x", 70000))
	if n := order.Uint32(b[4:]); int(n) != len(b) || len(b) > 66000 {
		t.Errorf("%d bytes, and says %d", len(b), n)
	}
}
