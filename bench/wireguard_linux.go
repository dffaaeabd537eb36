package main

import (
	"errors"
	"os"
	"sync"

	"golang.zx2c4.com/wireguard/tun"

	"usersock/netdev"
)

// A wireguard is the TUN of package wireguard-go under our stack, used as that
// program uses it: a goroutine reads and one writes, each as many packets a
// call as there are, so that its batches and its own segmentation offload work.
type wireguard struct {
	dev     tun.Device
	mtu     int
	out     chan []byte // packets that wait for the writer, with their headroom
	free    chan []byte
	ended   chan struct{}
	tasks   sync.WaitGroup
	started bool
}

const (
	wireguardHeadroom = 16       // what its Write wants in front of a packet
	wireguardBuffer   = 64 << 10 // room for the packets that its Write joins
	wireguardQueue    = 1024     // packets that may wait for the writer
)

func openWireguard(name string, mtu int) (netdev.Link, error) {
	dev, err := tun.CreateTUN(name, mtu)
	if err != nil {
		return nil, err
	}
	w := &wireguard{dev: dev, mtu: mtu, out: make(chan []byte, wireguardQueue), free: make(chan []byte, wireguardQueue), ended: make(chan struct{})}
	return netdev.FromDevice(w, netdev.DeviceConfig{Direct: true}), nil
}

func (w *wireguard) MTU() int { return w.mtu }

var errFull = errors.New("the queue of the writer is full")

func (w *wireguard) Send(packet []byte) error {
	var b []byte
	select {
	case b = <-w.free:
	default:
		b = make([]byte, wireguardHeadroom, wireguardBuffer)
	}
	select {
	case w.out <- append(b[:wireguardHeadroom], packet...):
		return nil
	default:
		return errFull
	}
}

func (w *wireguard) Attach(deliver func([]byte)) {
	if deliver == nil || w.started {
		return
	}
	w.started = true
	w.tasks.Go(func() { w.read(deliver) })
	w.tasks.Go(w.write)
}

func (w *wireguard) read(deliver func([]byte)) {
	bufs := make([][]byte, w.dev.BatchSize())
	for i := range bufs {
		bufs[i] = make([]byte, wireguardHeadroom+w.mtu)
	}
	sizes := make([]int, len(bufs))
	for {
		n, err := w.dev.Read(bufs, sizes, wireguardHeadroom)
		for i := range n {
			deliver(bufs[i][wireguardHeadroom : wireguardHeadroom+sizes[i]])
		}
		// It tells of more segments than fit a batch, and goes on.
		if err != nil && !errors.Is(err, tun.ErrTooManySegments) {
			return
		}
	}
}

func (w *wireguard) write() {
	batch := make([][]byte, 0, w.dev.BatchSize())
	for {
		batch = batch[:0]
		select {
		case b := <-w.out:
			batch = append(batch, b)
		case <-w.ended:
			return
		}
		for more := true; more && len(batch) < cap(batch); {
			select {
			case b := <-w.out:
				batch = append(batch, b)
			default:
				more = false
			}
		}
		_, err := w.dev.Write(batch, wireguardHeadroom)
		for _, b := range batch {
			select {
			case w.free <- b[:wireguardHeadroom]:
			default:
			}
		}
		if errors.Is(err, os.ErrClosed) {
			return
		}
	}
}

func (w *wireguard) Close() error {
	close(w.ended)
	err := w.dev.Close()
	w.tasks.Wait()
	return err
}
