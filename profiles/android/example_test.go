package android_test

import (
	"fmt"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/android"
	"github.com/wardmdm/ward/profiles/intent"
)

func ExampleCompile() {
	wanted := intent.Wanted{Block: intent.Block{AllowOnly: true}}
	r, err := android.Compile(wanted, intent.Target{
		Platform: ward.Android, OS: intent.Version{Major: 15}, Enrolment: intent.FullyManaged, Ownership: ward.Corporate,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range r.Outcomes {
		fmt.Printf("%s: %s\n", o.Intent, o.Verdict)
	}
	// Output:
	// Let only listed apps run: partly
	// Lock and find a lost phone: enforced
}
