"""The methods of test-time adaptation, a file each. Importing a file registers its method; `outthink.adapt.method.methods` imports all."""
