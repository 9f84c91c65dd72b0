package virtual_test

import (
	"context"
	"fmt"
	"time"

	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/virtual"
)

// A phone answers questions about what it holds, enrolled or not.
func ExamplePhone() {
	p, err := virtual.New(context.Background(), virtual.Options{
		UDID: "00008120-000A1", Serial: "F2LXX", Supervised: true,
		Apps:  []virtual.Installed{{BundleID: "net.whatsapp.WhatsApp", Name: "WhatsApp", Version: "25.1"}},
		Clock: time.Now, Transport: agent.NewTransport(nil),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Enrolled(), p.CanLaunch("net.whatsapp.WhatsApp"), p.CanLaunch("com.example.other"))
	// Output:
	// false <nil> com.example.other: the app is not installed
}

// A judge says what a device does with a profile, without a server.
func ExampleJudge() {
	j := virtual.NewJudge(virtual.Options{OSVersion: "26.1", Supervised: true, Apps: []virtual.Installed{{BundleID: "net.whatsapp.WhatsApp"}}})
	profile, err := agent.EncodePlist(map[string]any{
		"PayloadType": "Configuration", "PayloadVersion": 1, "PayloadIdentifier": "example", "PayloadUUID": "U0", "PayloadContent": []any{map[string]any{
			"PayloadType": "com.apple.applicationaccess", "PayloadVersion": 1, "PayloadIdentifier": "example.1", "PayloadUUID": "U1",
			"blockedAppBundleIDs": []any{"net.whatsapp.WhatsApp"},
		}},
	})
	if err == nil {
		err = j.InstallProfile(profile)
	}
	fmt.Println(err, j.CanLaunch("net.whatsapp.WhatsApp"))
	// Output:
	// <nil> net.whatsapp.WhatsApp: it is blocked by management: blockedAppBundleIDs
}
