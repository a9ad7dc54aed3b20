# A report processor of Puppet: hands each report to "clacks source puppet --report -" on its standard input.
# Which bus it goes to is in the settings of Clacks; CLACKS_PROGRAM names another program than "clacks".
require 'puppet'
require 'open3'

Puppet::Reports.register_report(:clacks) do
  desc 'Sends reports as events to a Clacks bus.'

  def process
    program = ENV.fetch('CLACKS_PROGRAM', 'clacks')
    said, status = Open3.capture2e(program, 'source', 'puppet', '--report', '-', stdin_data: to_yaml)
    raise Puppet::Error, "clacks did not take the report: #{said.strip}" unless status.success?
  end
end
