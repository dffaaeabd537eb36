package differ

import (
	"strings"
	"testing"
)

// A difference is a step of which ours has another outcome than the kernel.
// In the patterns * stands for any text.
type difference struct {
	in     string // pattern of the sequences' names
	call   string // pattern of the call
	kernel string // pattern of the kernel's outcome: the result, and {readiness} if that changed
	ours   string // our outcome
	why    string
}

// differences are all that are known. A line that no longer holds fails.
var differences = []difference{}

// glob reports whether text is of the pattern.
func glob(pattern, text string) bool {
	first, rest, more := strings.Cut(pattern, "*")
	if !strings.HasPrefix(text, first) {
		return false
	}
	if !more {
		return text == first
	}
	for text = text[len(first):]; ; text = text[1:] {
		if glob(rest, text) {
			return true
		}
		if text == "" {
			return false
		}
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"a*c", "abc", true}, {"a*c", "ab", false},
		{"a*", "ba", false}, {"*b*", "abc", true}, {"ab", "abc", false}, {"a*b*c", "axbxbxc", true},
	} {
		if got := glob(c.pattern, c.text); got != c.want {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}
