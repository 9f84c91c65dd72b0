package apple_test

import (
	"fmt"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/apple"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

func ExampleCompile() {
	wanted := intent.Wanted{
		Name:  "Messaging",
		Block: intent.Block{Apps: []catalogue.App{{Slug: "whatsapp", Name: "WhatsApp", IOS: []catalogue.Identifier{{ID: "net.whatsapp.WhatsApp"}}}}},
	}
	for _, os := range []string{"15.8", "27.0"} {
		r, err := apple.Compile(wanted, intent.Target{
			Platform: ward.IOS, OS: intent.ParseVersion(os), Supervised: true, Ownership: ward.Corporate, Enrolment: intent.ByAutomation,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		o := r.Outcomes[0]
		fmt.Printf("iOS %s: %s: %s by %s\n", os, o.Intent, o.Verdict, o.Mechanism)
		for _, a := range apple.Artifacts(r) {
			fmt.Println("   ", a.Name)
		}
	}
	// Output:
	// iOS 15.8: Block WhatsApp: enforced by com.apple.applicationaccess blockedAppBundleIDs
	//     messaging.mobileconfig
	// iOS 27.0: Block WhatsApp: enforced by com.apple.configuration.app.settings DeniedApps
	//     app-settings.declaration.json
	//     subscriptions.declaration.json
	//     activation.declaration.json
}
