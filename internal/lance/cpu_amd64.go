package lance

import "golang.org/x/sys/cpu"

// lackingFeatures names what the processor lacks of x86-64-v3, the level the embedded library is built for.
// AVX2 and FMA are only reported where the operating system saves their registers.
func lackingFeatures() []string {
	var lacking []string
	for _, feature := range []struct {
		name string
		has  bool
	}{
		{"AVX2", cpu.X86.HasAVX2}, {"BMI1", cpu.X86.HasBMI1}, {"BMI2", cpu.X86.HasBMI2}, {"F16C", cpu.X86.HasF16C},
		{"FMA", cpu.X86.HasFMA}, {"LZCNT", cpu.X86.HasLZCNT}, {"MOVBE", cpu.X86.HasMOVBE}, {"OSXSAVE", cpu.X86.HasOSXSAVE},
	} {
		if !feature.has {
			lacking = append(lacking, feature.name)
		}
	}
	return lacking
}
