package declare_test

import (
	"fmt"

	"github.com/wardmdm/ward/server/declare"
)

// A set is named by its items: a device that knows the name has nothing to fetch.
func ExampleNewSet() {
	passcode := declare.Item{Identifier: "org.example.passcode", Type: "com.apple.configuration.passcode.settings", Token: "7f3a", Payload: []byte(`{"RequirePasscode":true}`)}
	always := declare.Item{Identifier: "org.example.always", Type: "com.apple.activation.simple", Token: "09bc", Payload: []byte(`{"StandardConfigurations":["org.example.passcode"]}`)}
	set := declare.NewSet([]declare.Item{passcode, always})
	fmt.Println(set.Check(), set.Token == declare.NewSet([]declare.Item{always, passcode}).Token)
	for _, i := range set.Items {
		fmt.Println(i.Kind(), i.Identifier)
	}
	// Output:
	// <nil> true
	// activation org.example.always
	// configuration org.example.passcode
}
