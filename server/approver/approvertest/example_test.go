package approvertest_test

import (
	"bytes"
	"fmt"

	"github.com/wardmdm/ward/server/approver/approvertest"
)

func ExamplePasskey_Sign() {
	key, err := approvertest.New("ward.example", "https://ward.example")
	if err != nil {
		panic(err)
	}
	_, err = key.Sign([]byte(`{"publicKey":{"challenge":"AAAA","rpId":"ward.example","allowCredentials":[{"type":"public-key","id":"AAAA"}]}}`))
	fmt.Println(err != nil) // it signs only where it is asked for
	fmt.Println(bytes.Contains(key.SignChallenge([]byte{1}), []byte(`"signature"`)))
	// Output:
	// true
	// true
}
