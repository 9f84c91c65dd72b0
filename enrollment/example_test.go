package enrollment_test

import (
	"fmt"
	"strings"

	"github.com/wardmdm/ward/enrollment"
)

// Every mistake of a staff file is reported at once, and nothing is made of it.
func ExampleParseStaff() {
	_, err := enrollment.ParseStaff(strings.NewReader("name,ownership,email\nAda,corporate,ada@hospital.example\nGrace,leased,grace\n"))
	fmt.Println(err)
	// Output:
	// No invitation was made, because the file has mistakes.
	//   - Line 3: "grace" is not an e-mail address.
	//   - Line 3: The ownership "leased" is not known: use corporate or personal.
}
