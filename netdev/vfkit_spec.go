package netdev

func openVfkitSpec(path string, o SpecOptions) (Link, error) {
	return OpenVfkit(path, SocketConfig{MTU: o.MTU, HardwareAddr: o.MAC, Listen: o.Listen})
}
