# Prints what Vagrant itself reads from the Vagrantfile in the folder ARGV[0]: one line a machine, with its
# host name, private addresses, and what is wrong with its settings for VirtualBox.
require "vagrant"

environment = Vagrant::Environment.new(cwd: ARGV[0])
environment.machine_names.each do |name|
  vm = environment.vagrantfile.machine_config(name, nil, environment.boxes, nil)[:config].vm
  addresses = vm.networks.select { |kind, _| kind == :private_network }.map { |_, given| given[:ip] }
  mistakes = vm.get_provider_config(:virtualbox)._detected_errors
  puts [name, vm.hostname, *addresses, *mistakes].join(" ")
end
