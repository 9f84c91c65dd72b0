package apns_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"time"

	"github.com/wardmdm/ward/server/apns"
	"github.com/wardmdm/ward/server/apns/standin"
)

// A client that pushes to the local stand-in: without BaseURL and RootCAs it would push
// to Apple.
func Example() {
	apple, err := standin.Start(standin.Options{Now: time.Now})
	if err != nil {
		log.Fatal(err)
	}
	defer apple.Close()
	cert, _, _, err := apple.IssueCertificate("com.apple.mgmt.Ward.trial")
	if err != nil {
		log.Fatal(err)
	}
	client, err := apns.New(apns.Options{
		BaseURL: apple.URL(), RootCAs: apple.Pool(), Now: time.Now,
		Certificates: &keyring{certs: map[string]*tls.Certificate{"com.apple.mgmt.Ward.trial": &cert}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	err = client.Send(context.Background(), apns.Target{Topic: "com.apple.mgmt.Ward.trial", Token: []byte{0xca, 0xfe}, Magic: "magic"})
	fmt.Println(err)
	fmt.Println("dead:", apns.Dead(err))
	// Output:
	// push to token cafe: apns: status 400: BadDeviceToken
	// dead: true
}
