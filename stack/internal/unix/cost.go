package unix

// What a message takes of its sender's buffer. Linux does not count its bytes
// but the memory that holds them, and SO_SNDBUF limits that: it decides after
// how many messages Send is EAGAIN. These are the sizes that the kernel's
// allocators have on 64-bit machines with pages of 4 KiB.
const (
	page = 4 << 10

	bufferHead = 256 // struct sk_buff
	bufferTail = 320 // struct skb_shared_info, at the end of the linear part
	smallest   = 192 // what the least linear part has room for

	maxLinear = 16384 - bufferTail // linear part of a message, before pages are used
	maxPages  = 17 * page          // pages of a message, before the linear part grows

	// maxMessage is the longest message that there is memory for: 4 MiB is the
	// largest linear part.
	maxMessage = 4<<20 - bufferTail + maxPages

	streamLinear = page - bufferTail     // linear part of a piece of a stream
	maxPiece     = streamLinear + 32<<10 // all of a piece
	pieceMargin  = 64                    // two pieces and twice this are a send buffer
)

// messageCost is what a datagram or a record of n bytes takes.
func messageCost(n int) int {
	pages := 0
	if n > maxLinear {
		pages = pageAlign(min(n-maxLinear, maxPages))
	}
	return linearCost(n-pages) + pages
}

// pieceCost is what a piece of a stream takes.
func pieceCost(n int) int {
	pages := min(n, pageAlign(max(0, n-streamLinear)))
	return linearCost(n-pages) + pageAlign(pages)
}

// linearCost is the cost of a buffer with a linear part of n bytes: the kernel
// rounds it up to a power of two, its end included.
func linearCost(n int) int {
	if n <= smallest {
		return bufferHead + smallest + bufferTail
	}
	size := 1024
	for size < n+bufferTail {
		size *= 2
	}
	return bufferHead + size
}

func pageAlign(n int) int { return (n + page - 1) &^ (page - 1) }
