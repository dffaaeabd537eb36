package tls

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/pbkdf2"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// Password gives the password of an encrypted private key. It is called when
// one is needed, and not before. A nil Password is none.
type Password func() (string, error)

// StaticPassword is a Password that is known.
func StaticPassword(text string) Password { return func() (string, error) { return text, nil } }

// maxPassword is CPython's limit.
const maxPassword = 1024

func (p Password) get() (string, error) {
	if p == nil {
		return "", sslError("PEM", "BAD_PASSWORD_READ", "the private key is encrypted and there is no password", nil)
	}
	text, err := p()
	if err == nil && len(text) > maxPassword {
		err = valueError("load_cert_chain", fmt.Sprintf("password cannot be longer than %d bytes", maxPassword))
	}
	return text, err
}

// parseKey finds the first private key in PEM text: PKCS #1, PKCS #8, SEC 1,
// and each of them encrypted.
func parseKey(data []byte, password Password) (crypto.PrivateKey, error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil, sslError("SSL", "", "PEM lib", errors.New("no private key found"))
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		key, err := decodeKey(block, password)
		if err != nil {
			return nil, err
		}
		return key, nil
	}
}

func decodeKey(block *pem.Block, password Password) (crypto.PrivateKey, error) {
	der := block.Bytes
	switch {
	case x509.IsEncryptedPEMBlock(block): //lint:ignore SA1019 the documents' format: it is as weak as they say
		text, err := password.get()
		if err != nil {
			return nil, err
		}
		//lint:ignore SA1019 as above
		if der, err = x509.DecryptPEMBlock(block, []byte(text)); err != nil {
			return nil, sslError("SSL", "", "PEM lib", fmt.Errorf("private key: %w", err))
		}
	case block.Type == "ENCRYPTED PRIVATE KEY":
		text, err := password.get()
		if err != nil {
			return nil, err
		}
		if der, err = decryptPKCS8(der, text); err != nil {
			return nil, sslError("SSL", "", "PEM lib", fmt.Errorf("private key: %w", err))
		}
	}
	var key crypto.PrivateKey
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(der)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(der)
	default:
		key, err = x509.ParsePKCS8PrivateKey(der)
	}
	if err == nil {
		switch key.(type) {
		case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
			return key, nil
		}
		err = fmt.Errorf("a key of type %T", key)
	}
	if text := err.Error(); strings.Contains(text, "unknown") || strings.Contains(text, "type") {
		err = errors.Join(ErrUnknownAlgorithm, err)
	}
	return nil, sslError("SSL", "", "PEM lib", fmt.Errorf("private key: %w", err))
}

// samePublic reports whether a private key is a certificate's.
func samePublic(key crypto.PrivateKey, cert *x509.Certificate) bool {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return false
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

// PKCS #8 keys are encrypted by PKCS #5's PBES2 (RFC 8018, section 6.2): a key
// is made of the password by PBKDF2, and a block cipher in CBC mode does the
// rest. crypto/x509 does not read that; the parts are in the standard library.

type encryptedKey struct {
	Algorithm struct {
		OID    asn1.ObjectIdentifier
		Params pbes2Params
	}
	Data []byte
}

type pbes2Params struct {
	KDF struct {
		OID    asn1.ObjectIdentifier
		Params asn1.RawValue
	}
	Cipher struct {
		OID asn1.ObjectIdentifier
		IV  []byte
	}
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int `asn1:"optional"`
	PRF        struct {
		OID    asn1.ObjectIdentifier
		Params asn1.RawValue `asn1:"optional"`
	} `asn1:"optional"`
}

// maxIterations bounds the work that a file can ask for.
const maxIterations = 100_000_000

func decryptPKCS8(der []byte, password string) ([]byte, error) {
	var k encryptedKey
	if _, err := asn1.Unmarshal(der, &k); err != nil {
		return nil, errors.Join(ErrUnknownAlgorithm, fmt.Errorf("not PBES2: %w", err))
	}
	const pbes2, pbkdf2OID = "1.2.840.113549.1.5.13", "1.2.840.113549.1.5.12"
	if got := k.Algorithm.OID.String(); got != pbes2 {
		return nil, errors.Join(ErrUnknownAlgorithm, fmt.Errorf("encrypted by %s", got))
	}
	if got := k.Algorithm.Params.KDF.OID.String(); got != pbkdf2OID {
		return nil, errors.Join(ErrUnknownAlgorithm, fmt.Errorf("key derived by %s", got))
	}
	var p pbkdf2Params
	if _, err := asn1.Unmarshal(k.Algorithm.Params.KDF.Params.FullBytes, &p); err != nil {
		return nil, fmt.Errorf("PBKDF2: %w", err)
	}
	if p.Iterations < 1 || p.Iterations > maxIterations {
		return nil, fmt.Errorf("PBKDF2: %d iterations", p.Iterations)
	}
	prf, ok := hashOf(p.PRF.OID.String())
	if !ok {
		return nil, errors.Join(ErrUnknownAlgorithm, fmt.Errorf("PBKDF2 with %s", p.PRF.OID))
	}
	size, block, ok := cipherOf(k.Algorithm.Params.Cipher.OID.String())
	if !ok {
		return nil, errors.Join(ErrUnknownAlgorithm, fmt.Errorf("encrypted by %s", k.Algorithm.Params.Cipher.OID))
	}
	key, err := pbkdf2.Key(prf, password, p.Salt, p.Iterations, size)
	if err != nil {
		return nil, err
	}
	b, err := block(key)
	if err != nil {
		return nil, err
	}
	iv := k.Algorithm.Params.Cipher.IV
	if len(iv) != b.BlockSize() || len(k.Data) == 0 || len(k.Data)%b.BlockSize() != 0 {
		return nil, errors.New("the lengths are wrong")
	}
	out := make([]byte, len(k.Data))
	cipher.NewCBCDecrypter(b, iv).CryptBlocks(out, k.Data)
	pad := int(out[len(out)-1])
	if pad == 0 || pad > b.BlockSize() || pad > len(out) {
		return nil, errors.New("bad decrypt: the password is wrong")
	}
	for _, c := range out[len(out)-pad:] {
		if int(c) != pad {
			return nil, errors.New("bad decrypt: the password is wrong")
		}
	}
	return out[:len(out)-pad], nil
}

// hashOf is the hash of an HMAC (RFC 8018, appendix B.1.2); SHA-1 where none is
// named.
func hashOf(oid string) (func() hash.Hash, bool) {
	switch oid {
	case "", "1.2.840.113549.2.7":
		return sha1.New, true
	case "1.2.840.113549.2.8":
		return sha256.New224, true
	case "1.2.840.113549.2.9":
		return sha256.New, true
	case "1.2.840.113549.2.10":
		return sha512.New384, true
	case "1.2.840.113549.2.11":
		return sha512.New, true
	}
	return nil, false
}

// cipherOf is a block cipher and the length of its key.
func cipherOf(oid string) (size int, block func([]byte) (cipher.Block, error), ok bool) {
	switch oid {
	case "2.16.840.1.101.3.4.1.2":
		return 16, aes.NewCipher, true
	case "2.16.840.1.101.3.4.1.22":
		return 24, aes.NewCipher, true
	case "2.16.840.1.101.3.4.1.42":
		return 32, aes.NewCipher, true
	case "1.2.840.113549.3.7":
		return 24, des.NewTripleDESCipher, true
	}
	return 0, nil, false
}
