package examples_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	. "usersock/sockapi"
	"usersock/tls"
)

// sslServer is the server that the document's client talks to, with the names of
// its time: it answers one request.
func sslServer(socket *Net, print func(...any)) error {
	chain, key, err := verisign()
	if err != nil {
		return err
	}
	context, err := tls.NewSSLContext(tls.PROTOCOL_TLS_SERVER)
	if err != nil {
		return err
	}
	if err := context.LoadCertChainData(chain, key, nil); err != nil {
		return err
	}
	s, err := socket.Socket(AF_INET, SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Bind(InetAddr{Port: 443}); err != nil {
		return err
	}
	if err := s.Listen(1); err != nil {
		return err
	}
	listener, err := context.WrapSocket(s, tls.WrapOptions{ServerSide: true})
	if err != nil {
		return err
	}
	defer listener.Close()
	conn, _, err := listener.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	var request []byte
	for !bytes.HasSuffix(request, []byte("\r\n\r\n")) {
		data, err := conn.Recv(1024)
		if err != nil || len(data) == 0 {
			return fmt.Errorf("a request of %d bytes: %w", len(request), err)
		}
		request = append(request, data...)
	}
	if err := conn.Sendall([]byte("HTTP/1.0 200 OK\r\n\r\nHello")); err != nil {
		return err
	}
	return conn.Conn().Close()
}

// distinguished makes a name of types and values in turn, in their order.
func distinguished(parts ...string) (name pkix.Name) {
	types := map[string]int{"CN": 3, "C": 6, "L": 7, "ST": 8, "O": 10, "OU": 11}
	for i := 0; i < len(parts); i += 2 {
		name.ExtraNames = append(name.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, types[parts[i]]}, Value: parts[i+1]})
	}
	return name
}

// verisign makes a certificate with the names that the document prints.
func verisign() (chain, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	subject := distinguished("C", "US", "ST", "California", "L", "Mountain View", "O", "VeriSign, Inc.", "OU", "Production Services",
		"OU", "Terms of use at www.verisign.com/rpa (c)00", "CN", "www.verisign.com")
	issuer := &x509.Certificate{Subject: distinguished("O", "VeriSign Trust Network", "OU", "VeriSign, Inc.",
		"OU", "VeriSign International Server CA - Class 3", "OU", "www.verisign.com/CPS Incorp.by Ref. LIABILITY LTD.(c)97 VeriSign")}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: subject,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}, issuer, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}
